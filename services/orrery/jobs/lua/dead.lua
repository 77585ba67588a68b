local jobs = {}
for i, job in ipairs(redis.call('ZREVRANGE', key('dead'), 0, ARGV[1] - 1)) do jobs[i] = snapshot(job) end
return jobs
