-- Where the jobs after `after` name artifacts, and the place to go on from; nothing after the last.
local after, limit = ARGV[1], ARGV[2]
local found, last = {}, false
local page = redis.call('ZRANGEBYSCORE', key('jobs'), '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
for i = 1, #page, 2 do
  local job, plan = page[i], plan_of(page[i])
  last = page[i + 1]
  for _, task in ipairs(tasks_of(job)) do
    local specs = redis.call('HMGET', plan, 'spec:' .. task, 'checkpoint:' .. task)
    table.insert(found, {specs[1], specs[2] or '', get(row_of(job, task), 'outputs') or ''})
  end
end
return {last, found}
