-- Puts some records aside for a change that replaces all: commit.lua has them take the
-- place of the others once they are complete. One node at a time does so. What it has put
-- aside goes by itself if it does not come back.
--
-- KEYS: head, filling, aside
-- ARGV: 1 epoch and 2 chain of the base, both empty for none; 3 chain of the next head, by
--       which the change is known; 4 for how many milliseconds to keep it; then the key and
--       value of each record
local head_key, filling_key, aside_key = KEYS[1], KEYS[2], KEYS[3]

-- A script that fails halfway is not taken back: what it may not do is found out first.
for _, command in ipairs({
  { 'HMGET', head_key, 'f' }, { 'HGET', filling_key, 'f' }, { 'UNLINK', aside_key }, { 'HSET', aside_key, 'f', 'v' }, { 'PEXPIRE', aside_key, '1' },
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user has no right to ' .. command[1])
  end
end

local head = redis.call('HMGET', head_key, 'epoch', 'chain')
local filler = redis.call('HGET', filling_key, 'chain')
if (head[1] or '') ~= ARGV[1] or (head[2] or '') ~= ARGV[2] then
  if filler == ARGV[3] then
    redis.call('UNLINK', filling_key, aside_key)
  end
  return 'moved'
end
if filler and filler ~= ARGV[3] then
  return 'busy'
end
if not filler then
  redis.call('UNLINK', aside_key) -- what somebody else has left
  redis.call('HSET', filling_key, 'chain', ARGV[3])
end
for i = 5, #ARGV, 2 do
  redis.call('HSET', aside_key, ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', filling_key, ARGV[4])
redis.call('PEXPIRE', aside_key, ARGV[4])
return 'ok'
