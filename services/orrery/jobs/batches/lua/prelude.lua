-- Stands before every script, after the table of moves that redis.py derives from the Python side.
--
--   batch:<id>           hash    order, state, begun, total, completed, failed, and what else `Facts` has; at:<state>
--   batch:<id>:pages     hash    pages of the input by their first line
--   batch:<id>:open      hash    number of jobs by line
--   batch:<id>:settled   hash    outcomes by line
--   batches:of:<tenant>  zset    ids by order of creation
--   batches:due          zset    batches that have not ended, by when they are to be looked at
--   batches:ended        zset    by when they ended
--   batches:sequence     counter

local root, now = KEYS[1], ARGV[1]
table.remove(ARGV, 1)

local function key(...)
  return table.concat({root, ...}, ':')
end

local function row_of(batch) return key('batch', batch) end

local function snapshot(batch) return redis.call('HGETALL', row_of(batch)) end
