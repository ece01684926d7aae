-- The reports of all nodes that count still; those that do not are removed.
--
-- KEYS: nodes
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reports = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, at, report = string.match(all[i + 1], '^(%d+) (%d+) %S+ (.*)$')
  if ends and tonumber(ends) > now then
    reports[#reports + 1] = at
    reports[#reports + 1] = report
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return reports
