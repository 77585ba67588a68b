local after, order, limit, tenant = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local index = tenant == '' and key('jobs') or key('jobs', tenant)
local from = order == 'asc' and '-inf' or '+inf'
if after ~= '' then
  local score = redis.call('ZSCORE', index, after)
  if not score then return false end
  from = '(' .. score
end
local command = order == 'asc' and 'ZRANGEBYSCORE' or 'ZREVRANGEBYSCORE'
local to = order == 'asc' and '+inf' or '-inf'
local ids = redis.call(command, index, from, to, 'LIMIT', 0, limit + 1)
local jobs = {}
for i = 1, math.min(limit, #ids) do jobs[i] = snapshot(ids[i]) end
return {#ids > limit and 1 or 0, jobs}
