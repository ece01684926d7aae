-- The names and marks of all shelves. Those that have passed, or are gone, are forgotten: so
-- whoever has them leaves them again.
--
-- KEYS: the index of the shelves
-- ARGV: how many days they are kept, and how many there may be at the most
local index = KEYS[1]

for _, command in ipairs({
  { 'TIME' }, { 'HLEN', index }, { 'HGETALL', index }, { 'HDEL', index, 'f' },
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user has no right to ' .. command[1] .. ' ' .. (command[2] or ''))
  end
end

if redis.call('HLEN', index) > tonumber(ARGV[2]) then
  return redis.error_reply('ERR ' .. index .. ' has too many fields; is another program using it?')
end
local now = tonumber(redis.call('TIME')[1])
local found = {}
local all = redis.call('HGETALL', index)
for i = 1, #all, 2 do
  local day = string.match(all[i], '^(%d+):%x+$')
  if day and (day + 1 + ARGV[1]) * 86400 > now and redis.call('HLEN', index .. ':' .. all[i]) > 0 then
    found[#found + 1] = all[i]
    found[#found + 1] = all[i + 1]
  else
    redis.call('HDEL', index, all[i])
  end
end
return found
