-- Reads records of one kind and one subject, as of one moment: a flat list of ids and contents.
--
-- KEYS[1]: the hash of the records. ARGV[1] says which, KEYS from the second on are sorted sets:
-- "all"; "ids" with the ids in ARGV; "range" with direction, offset and count, of KEYS[2]; "scores" between two of them;
-- "words" with offset and count, of the union of KEYS, those in most of them first.

local function ids()
  if ARGV[1] == 'ids' then
    return {unpack(ARGV, 2)}
  end
  if ARGV[1] == 'range' then
    local from, count = tonumber(ARGV[3]), tonumber(ARGV[4])
    local to = count < 0 and -1 or from + count - 1
    return redis.call(ARGV[2] == 'desc' and 'ZRANGE' or 'ZREVRANGE', KEYS[2], from, to) -- scores are negative
  end
  if ARGV[1] == 'scores' then
    return redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[2], ARGV[3])
  end
  local union = {'ZUNION', #KEYS - 1}
  for at = 2, #KEYS do
    union[#union + 1] = KEYS[at]
  end
  local found = redis.call(unpack(union))
  local from, count = tonumber(ARGV[2]), tonumber(ARGV[3])
  local wanted = {}
  for at = #found - from, math.max(#found - from - count + 1, 1), -1 do
    wanted[#wanted + 1] = found[at]
  end
  return wanted
end

if ARGV[1] == 'all' then
  return redis.call('HGETALL', KEYS[1])
end
local wanted, answer = ids(), {}
for _, id in ipairs(wanted) do
  local content = redis.call('HGET', KEYS[1], id)
  answer[#answer + 1] = id
  answer[#answer + 1] = content or ''
end
return answer
