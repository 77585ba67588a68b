local batch, state, seconds = unpack(ARGV)
if redis.call('HGET', row_of(batch), 'state') == state then redis.call('ZADD', key('batches', 'due'), 'XX', now + seconds, batch) end
