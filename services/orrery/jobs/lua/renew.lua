local job, task, worker, token, lease = unpack(ARGV)
local answer, row, pool = standing(job, task, worker, token)
if row then redis.call('ZADD', key('held', pool), later(lease), member_of(job, task)) end
return answer
