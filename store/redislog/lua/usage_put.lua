-- Leaves rows of a shelf. Of a row that is there the one with the higher number stays. A
-- row's number is its first eight bytes.
--
-- KEYS: the index of the shelves, the rows of this one
-- ARGV: 1 the shelf's name; 2 its day, and 3 for how many more it is kept; 4 whether what
--       is there is dropped; 5 how many rows it has then, -1 if more come; 6 its mark; then
--       the key and value of each row
local index, rows = KEYS[1], KEYS[2]
local first_row = 7

-- A script that fails halfway is not taken back: what it may not do is found out first.
for _, command in ipairs({
  { 'TIME' }, { 'DEL', rows }, { 'HDEL', index, 'f' }, { 'HMGET', rows, 'f' }, { 'HSET', rows, 'f', 'v' }, { 'HSET', index, 'f', 'v' },
  { 'EXPIREAT', rows, '1' }, { 'HLEN', rows },
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user has no right to ' .. command[1] .. ' ' .. (command[2] or ''))
  end
end

local ends = (ARGV[2] + 1 + ARGV[3]) * 86400
if ends <= tonumber(redis.call('TIME')[1]) then
  return 'passed'
end
if ARGV[4] == '1' then
  redis.call('DEL', rows)
  redis.call('HDEL', index, ARGV[1])
end

-- Whether a value has a higher number than another. Lua's numbers have 53 bits, and its
-- texts are compared by the rules of some language.
local function is_newer(value, other)
  if not other or #other < 8 then
    return true
  end
  local high, low = struct.unpack('>I4I4', value)
  local other_high, other_low = struct.unpack('>I4I4', other)
  return high > other_high or high == other_high and low > other_low
end

for first = first_row, #ARGV, 1000 do -- unpack has room for some thousands
  local keys = {}
  for i = first, math.min(first + 998, #ARGV - 1), 2 do
    keys[#keys + 1] = ARGV[i]
  end
  local newer = {}
  for i, there in ipairs(redis.call('HMGET', rows, unpack(keys))) do
    local value = ARGV[first + 2 * i - 1]
    if is_newer(value, there) then
      newer[#newer + 1] = keys[i]
      newer[#newer + 1] = value
    end
  end
  if #newer > 0 then
    redis.call('HSET', rows, unpack(newer))
  end
end
redis.call('EXPIREAT', rows, string.format('%.0f', ends))

local count = tonumber(ARGV[5])
if count >= 0 then
  if redis.call('HLEN', rows) ~= count then
    return 'incomplete'
  end
  redis.call('HSET', index, ARGV[1], ARGV[6])
end
return 'ok'
