-- For an entry that came by a blocking read, unless somebody took it over since.
local pool, worker, token, attempts, exhausted, id, job, task = unpack(ARGV)
local stream = open(pool)
if not holds(stream, id, worker) then return 'skipped' end
return begin(stream, {id, {'job', job, 'task', task}}, worker, token, attempts, exhausted)
