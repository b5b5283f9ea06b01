-- Notes where records are going to lie, before they are written there. What is noted too much does no harm.
--
-- KEYS: the keys that are touched. ARGV, four for each note: what, key, name, content.
-- "claim": in which subjects a record may lie (content "" asks only) · "owner": in which subjects an owner has
-- records · "subject": who is here · "due": that a subject has something due by a time, or earlier.
-- Replies with the claims, in order.

local function claim(key, record, subject)
  local known = redis.call('HGET', key, record) or ''
  if subject ~= '' and not string.find(known, subject, 1, true) then
    known = known .. subject
    redis.call('HSET', key, record, known)
  end
  return known
end

local claims = {}
for at = 1, #ARGV, 4 do
  local what, key, name, content = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if what == 'claim' then
    claims[#claims + 1] = claim(key, name, content)
  elseif what == 'owner' then
    redis.call('SADD', key, name)
  elseif what == 'subject' then
    redis.call('ZADD', key, 0, name)
  else
    redis.call('ZADD', key, 'LT', content, name)
    redis.call('HSET', key .. ':announced', name, redis.call('TIME')[1])
  end
end
return claims
