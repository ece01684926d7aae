-- Adds what a node has taken of rates and quotas to what all have taken, and returns that.
-- A batch that was added already, for it was sent again when no answer came, is not added
-- once more.
--
-- KEYS: the number of the node's last batch; of each rate its level, "level at", where level
--       counts requests and may be negative, for the bucket has been empty for so long, and
--       at is in microseconds; of each quota the count of its window
-- ARGV: 1 number of the batch; 2 when it was sent, in microseconds; 3 how long its number
--       counts, in milliseconds; 4 how many rates there are; then of each rate requests that
--       drain in a microsecond, requests taken, microseconds since the first of them, the
--       level that the node knows of, and the highest that there can be; of each quota
--       milliseconds that its count is kept, requests taken, and the count that the node
--       knows of
-- A script that fails halfway is not taken back: what it may not do is found out first.
for _, command in ipairs({ { 'TIME' }, { 'GET', KEYS[1] }, { 'SET', KEYS[1], '', 'PX', '1' } }) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user has no right to ' .. command[1] .. ' ' .. (command[2] or ''))
  end
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = { string.format('%.0f', now) }
if #KEYS == 1 then
  return answer -- it only asks for the time
end

local is_new = tonumber(ARGV[1]) > (tonumber(redis.call('GET', KEYS[1]) or '') or 0)
if is_new then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
local lag = math.max(0, now - ARGV[2])
local rates = tonumber(ARGV[4])
local arg = 5

local function settle_rate(key)
  local drains, taken, age = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local known, most = tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4])
  arg = arg + 5
  local level = -math.huge
  local had, at = string.match(redis.call('GET', key) or '', '^(%S+) (%d+)$')
  local stored = tonumber(had)
  if stored and stored > -1e300 and stored < 1e300 then -- what nobody else wrote, neither nan
    level = stored - drains * math.max(0, now - at) -- the clock may have been set back
  end
  if is_new and taken > 0 then
    level = math.max(level, -drains * (age + lag)) + taken
  end
  level = math.min(math.max(level, known - drains * lag), most)
  local lasts = 10000 + math.max(0, level) / drains / 1000
  redis.call('SET', key, string.format('%.17g %.0f', level, now), 'PX', string.format('%.0f', lasts))
  return string.format('%.17g', math.max(0, level))
end

local function settle_quota(key)
  local lasts, taken, known = ARGV[arg], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  arg = arg + 3
  local count = tonumber(redis.call('GET', key) or '') or 0
  if is_new then
    count = count + taken
  end
  count = string.format('%.0f', math.max(count, known))
  redis.call('SET', key, count, 'PX', lasts)
  return count
end

for i = 2, #KEYS do
  answer[i] = i <= rates + 1 and settle_rate(KEYS[i]) or settle_quota(KEYS[i])
end
return answer
