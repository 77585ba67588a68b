local job, task, worker, token, note, media_type, image, seconds = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if row then
  local shown = key('job', job, 'preview')
  redis.call('HSET', shown, 'note', note, 'media_type', media_type, 'image', image, 'untold', 1)
  redis.call('EXPIRE', shown, seconds)
  redis.call('HSET', key('job', job), 'preview', note)
end
return answer
