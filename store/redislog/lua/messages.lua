-- What the scripts for messages begin with.
--
-- KEYS: meta, a hash: epoch, seq, quiet (until when nothing may be claimed), last (when somebody
--       called), calm (until when nothing is taken from a node that is not heard of), and
--       "role:NAME" for each role; marks, a hash: of each key the value that nodes gave it, or
--       "o:ID" for an open message; and of open messages, by id: held, "node ends failures due";
--       texts; members, their keys. Times are in milliseconds.
-- ARGV: a table in JSON
local meta, marks, held, texts, members = unpack(KEYS)
local a = cjson.decode(ARGV[1])

local kept = '34560000000' -- 400 days
local most = 20000 -- open messages

-- A script that fails halfway is not taken back: what it may not do is found out first.
for _, command in ipairs({
  { 'TIME' }, { 'HGET', meta, 'f' }, { 'HSET', meta, 'f', 'v' }, { 'HDEL', meta, 'f' }, { 'HGETALL', meta }, { 'HLEN', meta }, { 'PEXPIRE', meta, '1' },
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user has no right to ' .. command[1] .. ' ' .. (command[2] or ''))
  end
end
if redis.call('HLEN', held) > most then
  return redis.error_reply('ERR ' .. held .. ' has too many fields; is another program using it?')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(n)
  return string.format('%.0f', n)
end

-- The number that a text is; zero for what is none that nodes write.
local function number_of(text)
  local n = tonumber(text or 0) or 0
  return n >= 0 and n < 2 ^ 53 and n or 0
end

local function number(field)
  return number_of(redis.call('HGET', meta, field) or '0')
end

local function put(hash, ...)
  redis.call('HSET', hash, ...)
  redis.call('PEXPIRE', hash, kept)
end

-- The state of an open message; nil if there is none.
local function state_of(id)
  local text = redis.call('HGET', held, id)
  if not text then
    return nil
  end
  local node, ends, failures, due = string.match(text, '^(%S+) (%d+) (%d+) (%d+)$')
  return { node = node or '-', ends = number_of(ends), failures = math.min(number_of(failures), 1000000), due = number_of(due) }
end

local function put_state(id, s)
  put(held, id, s.node .. ' ' .. whole(s.ends) .. ' ' .. whole(s.failures) .. ' ' .. whole(s.due))
end

local function drop(id)
  redis.call('HDEL', held, id)
  redis.call('HDEL', texts, id)
  redis.call('HDEL', members, id)
end

-- What is known of a key; nil for nothing, also if its message is gone.
local function mark_of(key)
  local mark = redis.call('HGET', marks, key)
  local id = mark and string.match(mark, '^o:(.*)$')
  if id and not redis.call('HGET', held, id) then
    return nil
  end
  return mark or nil
end

-- The mark of a key that people were told of; nil for any other.
local function told(key)
  local mark = redis.call('HGET', marks, key)
  return mark and string.sub(mark, 1, 2) ~= 'o:' and mark or nil
end

-- Makes a message an open one.
local function put_open(m, node, ends)
  for _, key in ipairs(m.keys) do
    put(marks, key, 'o:' .. m.id)
  end
  put(texts, m.id, m.text)
  put(members, m.id, table.concat(m.keys, ' '))
  put_state(m.id, { node = node, ends = ends, failures = 0, due = now })
end

-- Whether a message is not a node's any more. After nobody was heard of, nodes that are there
-- get the time to say what became of theirs.
local function is_free(s)
  return (s.node == '-' or s.ends <= now or s.ends > now + 100 * a.lease) and (number('calm') <= now or number('calm') > now + 100 * a.lease)
end

local function count_change()
  if redis.call('HGET', meta, 'epoch') then
    put(meta, 'seq', whole(number('seq') + 1))
  end
end
