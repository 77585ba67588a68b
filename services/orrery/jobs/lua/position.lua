-- False if there is no such job.
if redis.call('EXISTS', key('job', ARGV[1])) == 0 then return false end
return position_of(ARGV[1])
