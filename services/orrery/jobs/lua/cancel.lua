local job = ARGV[1]
cancel(job)
return snapshot(job)
