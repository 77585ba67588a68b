-- Of each job, named with the digest of its record that is known: the digest, the record if it is another, and its place.
local found = {}
for i = 1, #ARGV, 2 do
  local record = snapshot(ARGV[i])
  local digest = record and redis.sha1hex(record)
  table.insert(found, record and {digest, digest ~= ARGV[i + 1] and record, position_of(ARGV[i])})
end
return found
