-- Takes what came of a delivery: the marks of all keys, or that it is tried again.
if a.marks then
  for _, m in ipairs(a.marks) do
    put(marks, m.key, m.value)
  end
  drop(a.id)
  count_change()
  return 'ok'
end
local s = state_of(a.id)
if s and s.node == a.node then
  s.failures, s.due = a.failures, now + a.due
  put_state(a.id, s)
end
return 'ok'
