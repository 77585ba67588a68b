-- Of each job, named with the version that is known and its next queued task then (or nothing): its version, its record if
-- that is another, and its place.
local found = {}
for i = 1, #ARGV, 3 do
  local job, known, task = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local version = get(plan_of(job), 'version')
  if version and version == known then
    table.insert(found, {version, false, task ~= '' and place_of(job, task) or -1})
  else
    local record = snapshot(job)
    table.insert(found, record and {version or '', record, position_of(job)})
  end
end
return found
