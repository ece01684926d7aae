-- Makes a message a node's: a new one, none of whose keys anybody was told of or is being told,
-- or one that is nobody's. Answers "ok", failures, until when it is due; or "no", and the marks
-- of those of the message's keys that people were told of.
local m = a.message
if redis.call('HGET', meta, 'epoch') ~= a.epoch or number('seq') < a.seq or now < number('quiet') then
  return { 'no' }
end
local s = state_of(m.id)
if s and s.node ~= a.node and not is_free(s) then
  return { 'no' }
end
local is_known = false
local marked = {}
for _, key in ipairs(m.keys) do
  local mark = mark_of(key)
  is_known = is_known or mark and mark ~= 'o:' .. m.id
  if told(key) and #marked < 4000 then
    marked[#marked + 1] = key
    marked[#marked + 1] = mark
  end
end
if is_known then
  if s then
    drop(m.id) -- it was put back by who did not know
  end
  return { 'no', unpack(marked) }
end
if not s then
  put_open(m, a.node, now + a.lease)
  s = state_of(m.id)
end
s.node, s.ends = a.node, now + a.lease
put_state(m.id, s)
count_change()
return { 'ok', whole(s.failures), whole(math.max(0, s.due - now)) }
