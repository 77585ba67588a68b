-- XCLAIM would steal the entry back for an owner who lost it: hence the standing first.
local job, task, worker, token = unpack(ARGV)
local answer, _, stream, entry = standing(job, task, worker, token)
if answer == 'owned' then redis.call('XCLAIM', stream, GROUP, worker, 0, entry, 'JUSTID') end
return answer
