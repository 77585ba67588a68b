-- Triples: a line, the counter it is counted in, and its outcome.
local row = row_of(ARGV[1])
for i = 2, #ARGV, 3 do
  if redis.call('HDEL', row .. ':open', ARGV[i]) == 1 then
    redis.call('HSET', row .. ':settled', ARGV[i], ARGV[i + 2])
    redis.call('HINCRBY', row, ARGV[i + 1], 1)
  end
end
