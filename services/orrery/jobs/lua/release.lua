-- The turn that a displaced task leaves belongs to an interactive one, whatever the weights say.
local job, task, worker, token = unpack(ARGV)
local answer, row, pool = standing(job, task, worker, token)
if not row then return answer end
if answer == 'preempted' then
  redis.call('HINCRBY', row, 'preemptions', 1)
  count('preemptions', pool)
  add(key('owed'), get(key('yielding'), member_of(job, task)), 1)
end
redis.call('HINCRBY', row, 'attempt', -1)
hand_back(job, task)
return 'owned'
