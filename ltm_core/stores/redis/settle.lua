-- Moves the due time that is noted of a subject to the real one, unless a write was announced lately.
--
-- KEYS: the sorted set of subjects, the hash of when they were announced. ARGV: subject, time or "", seconds to wait.

local announced = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if tonumber(redis.call('TIME')[1]) - announced < tonumber(ARGV[3]) then
  return 0
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
