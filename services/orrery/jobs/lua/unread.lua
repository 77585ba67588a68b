-- An entry that was read and not started goes back: it becomes due at once, and one of the waiting workers is woken.
local pool, worker, id = unpack(ARGV)
local stream = open(pool)
if not holds(stream, id, worker) then return 'skipped' end
hand_back(stream, id)
return 'ok'
