-- Some rows of a shelf, and where to go on. Those that are longer than any that a node
-- leaves are left out.
--
-- KEYS: the rows of the shelf
-- ARGV: where to go on; about how many; how long a key and a value may be
local part = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local all, found = part[2], {}
for i = 1, #all, 2 do
  if #all[i] <= tonumber(ARGV[3]) and #all[i + 1] <= tonumber(ARGV[4]) then
    found[#found + 1] = all[i]
    found[#found + 1] = all[i + 1]
  end
end
return { part[1], found }
