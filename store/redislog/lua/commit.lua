-- Makes a change, if the head is what the change was made on. One that was made already
-- is a success, so that it can be sent again when no answer came.
--
-- KEYS: head, records, log, filling, aside
-- ARGV: 1 epoch and 2 chain of the base, both empty for none; of the next head 3 format,
--       4 epoch, 5 revision, 6 chain, 7 count, 8 sig, 9 resets; 10 whether it begins an
--       epoch; 11 whether it replaces all records; 12 audit entries; 13 how long the log
--       may get; 14 the channel, and 15 the message for it; 16 how many records stage.lua has
--       put aside for it, which replace all; 17 how many are written; then the key and value
--       of each, then the keys of those that are removed
local head_key, records_key, log_key, filling_key, aside_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- A script that fails halfway is not taken back: what it may not do is found out first.
for _, command in ipairs({
  { 'TIME' }, { 'HMGET', head_key, 'f' }, { 'XRANGE', log_key, '-', '+' }, { 'DEL', log_key }, { 'HSET', records_key, 'f', 'v' },
  { 'HDEL', records_key, 'f' }, { 'XADD', log_key, '*', 'f', 'v' }, { 'PUBLISH', ARGV[14], '' },
  { 'HGET', filling_key, 'f' }, { 'HLEN', aside_key }, { 'UNLINK', records_key }, { 'RENAME', aside_key, records_key }, { 'PERSIST', records_key },
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user has no right to ' .. command[1] .. ' ' .. (command[2] or ''))
  end
end

local head = redis.call('HMGET', head_key, 'epoch', 'chain')
if head[2] == ARGV[6] then
  return 'ok'
end
if head[1] == ARGV[4] then -- others may have gone on from it
  local made = redis.call('XRANGE', log_key, ARGV[5] .. '-0', ARGV[5] .. '-0')
  if #made > 0 and made[1][2][2] == ARGV[6] then
    return 'ok'
  end
end
local aside = tonumber(ARGV[16])
local mine = aside > 0 and redis.call('HGET', filling_key, 'chain') == ARGV[6]
if (head[1] or '') ~= ARGV[1] or (head[2] or '') ~= ARGV[2] then
  if mine then
    redis.call('UNLINK', filling_key, aside_key)
  end
  return 'moved'
end
if aside > 0 and not (mine and redis.call('HLEN', aside_key) == aside) then
  return 'lost'
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if ARGV[10] == '1' then
  redis.call('HSET', head_key, 'began', now)
end
if ARGV[10] == '1' or ARGV[11] == '1' then -- nobody follows it step by step
  redis.call('DEL', log_key)
end
if ARGV[11] == '1' then
  redis.call('UNLINK', records_key)
end
if aside > 0 then
  redis.call('RENAME', aside_key, records_key)
  redis.call('PERSIST', records_key)
  redis.call('UNLINK', filling_key)
end

local keys = {}
local first_removed = 18 + 2 * ARGV[17]
for i = 18, first_removed - 1, 2 do
  redis.call('HSET', records_key, ARGV[i], ARGV[i + 1])
  keys[#keys + 1] = ARGV[i]
end
for i = first_removed, #ARGV do
  redis.call('HDEL', records_key, ARGV[i])
  keys[#keys + 1] = ARGV[i]
end
redis.call('XADD', log_key, 'MAXLEN', '~', ARGV[13], ARGV[5] .. '-0',
  'chain', ARGV[6], 'keys', cmsgpack.pack(keys), 'audit', ARGV[12])
redis.call('HSET', head_key, 'format', ARGV[3], 'epoch', ARGV[4], 'revision', ARGV[5], 'chain', ARGV[6],
  'count', ARGV[7], 'sig', ARGV[8], 'resets', ARGV[9], 'changed', now)
redis.call('PUBLISH', ARGV[14], ARGV[15])
return 'ok'
