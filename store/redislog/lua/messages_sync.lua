-- Takes what a node knows, and answers what it asks: the epoch, how many changes there were, for
-- how long nothing may be claimed; all open messages, as id, whether it is the node's, whether
-- it is nobody's, failures, until when it is due; the marks and the texts that were asked for;
-- all roles.
local epoch = redis.call('HGET', meta, 'epoch')
if not epoch or epoch == a.epoch and number('seq') < a.seq then
  epoch = a.fresh
  put(meta, 'epoch', epoch, 'seq', whole(math.max(number('seq'), a.seq)), 'quiet', whole(now + a.grace))
end
if number('last') < now - a.lease / 4 then
  put(meta, 'calm', whole(now + a.lease / 2))
end
put(meta, 'last', whole(now))

for _, id in ipairs(a.drop or {}) do
  drop(id)
end
for _, key in ipairs(a.forget or {}) do
  redis.call('HDEL', marks, key)
end
for _, m in ipairs(a.marks or {}) do
  put(marks, m.key, m.value)
end
for _, role in ipairs(a.roles or {}) do
  put(meta, 'role:' .. role, '1')
end
for _, m in ipairs(a.open or {}) do
  local s = state_of(m.id)
  local is_known = false
  for _, key in ipairs(m.keys) do
    is_known = is_known or mark_of(key) ~= nil
  end
  if s and m.mine and s.node == '-' then
    put_state(m.id, { node = a.node, ends = now + a.lease, failures = s.failures, due = s.due })
  elseif not s and not is_known then
    put_open(m, m.mine and a.node or '-', now + a.lease)
  end
end
if a.marks or a.roles or a.open then
  count_change()
end

local open = {}
local all = redis.call('HGETALL', held)
for i = 1, #all, 2 do
  local id, s = all[i], state_of(all[i])
  if s.node == a.node then
    s.ends = now + a.lease
    put_state(id, s)
  end
  open[#open + 1] = id
  open[#open + 1] = s.node == a.node and '1' or '0'
  open[#open + 1] = is_free(s) and '1' or '0'
  open[#open + 1] = whole(s.failures)
  open[#open + 1] = whole(math.max(0, s.due - now))
end

local asked = {}
for i, key in ipairs(a.ask or {}) do
  asked[i] = told(key) or ''
end
local wanted = {}
for i, id in ipairs(a.want or {}) do
  wanted[i] = redis.call('HGET', texts, id) or ''
end
local roles = {}
local fields = redis.call('HGETALL', meta)
for i = 1, #fields, 2 do
  roles[#roles + 1] = string.match(fields[i], '^role:(.*)$')
end
local quiet = math.min(math.max(0, number('quiet') - now), a.grace)
return { epoch, whole(number('seq')), whole(quiet), open, asked, wanted, roles }
