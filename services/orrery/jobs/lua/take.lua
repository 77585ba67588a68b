-- One entry whose lease ran out, else a new one. Without either, the milliseconds until a lease can run out.
local pool, worker, token, lease, attempts, exhausted = unpack(ARGV)
local stream = open(pool)

local function lapsed()
  local cursor = '0-0'
  repeat
    local reply = redis.call('XAUTOCLAIM', stream, GROUP, worker, lease, cursor, 'COUNT', 1)
    cursor = reply[1]
    if reply[2][1] then return reply[2][1] end
  until cursor == '0-0' -- a batch may be empty before the end
end

local function fresh()
  local reply = redis.call('XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', 1, 'STREAMS', stream, '>')
  return reply and reply[1][2][1]
end

local function patience()
  local longest = 0
  for _, held in ipairs(redis.call('XPENDING', stream, GROUP, '-', '+', 1000)) do
    longest = math.max(longest, held[3])
  end
  return math.max(1, lease - longest)
end

local entry = lapsed() or fresh()
return entry and begin(stream, entry, worker, token, attempts, exhausted) or patience()
