-- What was changed since a node's position, all at this moment. It also leaves the node's
-- report: that makes it a write, which a Redis that was cut off from its replicas refuses.
--
-- KEYS: head, records, log, nodes, filling
-- ARGV: epoch, revision and chain of the node; its id, its report, how long that counts
--       in milliseconds; how many keys may have changed at the most; how long the report
--       counts if the node has to download everything; what tells its reports from those
--       of another with the same id, or empty as long as it has left none; the epoch that
--       the node is in, which is another one while it downloads everything
local head_key, records_key, log_key, nodes_key, filling_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, revision, chain, home = ARGV[1], ARGV[2], ARGV[3], ARGV[10]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function report(lasts)
  redis.call('HSET', nodes_key, ARGV[4], string.format('%.0f %.0f %s %s', now + lasts, now, home == '' and '-' or home, ARGV[5]))
end

-- Whether somebody else has left a report under the id since this node did.
local function has_twin()
  local last = redis.call('HGET', nodes_key, ARGV[4])
  local ends = last and string.match(last, '^(%d+) ')
  return ends and tonumber(ends) > now and not string.find(last, ARGV[9], 1, true)
end
if ARGV[9] ~= '' and has_twin() then
  return { 'twin', '0' }
end
report(home == epoch and ARGV[6] or math.max(ARGV[6], ARGV[8]))

local head = redis.call('HMGET', head_key, 'format', 'epoch', 'revision', 'chain', 'count', 'sig', 'resets', 'began', 'changed')
local filling = redis.call('HGET', filling_key, 'chain') and '1' or '0'
if not head[2] then
  report(math.max(ARGV[6], ARGV[8]))
  return { 'empty', filling }
end

-- How many milliseconds ago something was. The clock may have been set back since.
local function age(at)
  return string.format('%.0f', math.max(0, now - (at or now)))
end

-- How many nodes count still, and are in another epoch than the head. It matters as long
-- as an epoch is young.
local function apart()
  local count = 0
  if now - (head[8] or now) < 60000 then
    local all = redis.call('HGETALL', nodes_key)
    for i = 2, #all, 2 do
      local ends, theirs = string.match(all[i], '^(%d+) %d+ (%S+) ')
      if ends and tonumber(ends) > now and theirs ~= '-' and theirs ~= head[2] then
        count = count + 1
      end
    end
  end
  return string.format('%d', count)
end

local function answer(verdict, changed, audit)
  if verdict ~= 'ok' then -- it is busy for a while now
    report(math.max(ARGV[6], ARGV[8]))
  end
  return { verdict, filling, age(head[8]), age(head[9]), apart(), head[1], head[2], head[3], head[4], head[5], head[6], head[7], changed or {}, audit or {} }
end

if epoch ~= head[2] then
  return answer('epoch')
end
if tonumber(head[3]) < tonumber(revision) then
  return answer('regress')
end
if head[3] == revision then
  return answer(head[4] == chain and 'ok' or 'diverge')
end

local mine = redis.call('XRANGE', log_key, revision .. '-0', revision .. '-0')
if #mine == 0 then
  return answer('trimmed')
end
if mine[1][2][2] ~= chain then
  return answer('diverge')
end

local most = tonumber(ARGV[7])
local seen, keys, audit = {}, {}, {}
local from = '(' .. revision .. '-0'
repeat
  local entries = redis.call('XRANGE', log_key, from, '+', 'COUNT', 100) -- a change can have many keys
  for _, entry in ipairs(entries) do
    local fields = entry[2] -- chain, keys and audit entries, each behind its name
    for _, key in ipairs(cmsgpack.unpack(fields[4])) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
    if #keys > most then
      return answer('trimmed')
    end
    audit[#audit + 1] = string.match(entry[1], '^%d+')
    audit[#audit + 1] = fields[6]
    from = '(' .. entry[1]
  end
until #entries < 100

local changed = {}
for first = 1, #keys, 1000 do -- unpack has room for some thousands
  local last = math.min(first + 999, #keys)
  for i, value in ipairs(redis.call('HMGET', records_key, unpack(keys, first, last))) do
    changed[#changed + 1] = keys[first + i - 1]
    changed[#changed + 1] = value -- false, which is nil for the caller, where there is none
  end
end
return answer('ok', changed, audit)
