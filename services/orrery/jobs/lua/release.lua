-- The turn that a displaced task leaves belongs to an interactive one, whatever the weights say.
local job, task, worker, token = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if not row then return answer end
if answer == 'preempted' then
  redis.call('HINCRBY', row, 'preemptions', 1)
  add(key('owed'), get(key('yielding'), member_of(job, task)), 1)
end
redis.call('HINCRBY', row, 'attempt', -1)
hand_back(job, task)
return 'owned'
