-- Does a batch of steps, each of one subject: all of them or none.
--
-- KEYS: one key for each subject. ARGV: prefix, mode, transaction, then for each step
-- "put" or "delete", subject, names of the subject, kind, id, owner, expected version or "", content.
--
-- Modes: "apply" checks and writes. A batch over several slots of a cluster is prepared in each (checked, and kept
-- beside the records, where it holds up other writers), then committed in each, or aborted in each.
--
-- Replies: {"done"}, {"busy", transaction}, {"owner", step} or {"version", step, stored version}.

local prefix, mode, transaction = ARGV[1], ARGV[2], ARGV[3]

local function base(subject)
  return prefix .. ':{' .. subject .. '}:'
end

local function did_key(subject)
  return base(subject) .. 'did:' .. transaction
end

local function head(content)
  return cjson.decode(string.sub(content, 1, string.find(content, '\n', 1, true)))
end

local function read_steps()
  local steps = {}
  for at = 4, #ARGV, 8 do
    steps[#steps + 1] = {
      op = ARGV[at], subject = ARGV[at + 1], names = ARGV[at + 2], kind = ARGV[at + 3],
      id = ARGV[at + 4], owner = ARGV[at + 5], expect = ARGV[at + 6], content = ARGV[at + 7],
    }
  end
  return steps
end

local function stored(step)
  return redis.call('HGET', base(step.subject) .. 'r:' .. step.kind, step.id)
end

-- Every sorted set that a record stands in, handed to `visit` with its score there.
local function visit_places(step, header, visit)
  local here = base(step.subject)
  local order, equal, words, walls = header[4], header[5], header[6], header[3]
  for _, wall in ipairs(walls) do
    local tail = ':' .. wall
    for _, pair in ipairs(order) do
      visit(here .. 'i:' .. step.kind .. ':' .. pair[1] .. tail, pair[2])
    end
    for _, pair in ipairs(equal) do
      visit(here .. 'e:' .. step.kind .. ':' .. pair[1] .. ':' .. pair[2] .. tail, order[1][2])
    end
    for _, word in ipairs(words) do
      visit(here .. 't:' .. step.kind .. ':' .. string.sub(redis.sha1hex(word), 1, 16) .. tail, 1)
    end
  end
  if header[7] ~= '' then
    visit(here .. 'due:' .. step.kind, header[7])
  end
end

local function take_out(step, content)
  visit_places(step, head(content), function(key) redis.call('ZREM', key, step.id) end)
  redis.call('HDEL', base(step.subject) .. 'r:' .. step.kind, step.id)
end

local function put_in(step)
  visit_places(step, head(step.content), function(key, score) redis.call('ZADD', key, score, step.id) end)
  redis.call('HSET', base(step.subject) .. 'r:' .. step.kind, step.id, step.content)
end

local function counted(step, change)
  local about = base(step.subject) .. 'about'
  if change ~= 0 and redis.call('HINCRBY', about, 'records', change) == 0 then
    redis.call('DEL', about)
  elseif step.op == 'put' then
    redis.call('HSET', about, 'names', step.names)
  end
  if redis.call('EXISTS', about) == 1 then
    redis.call('HSET', about, 'changed', transaction)
    if step.kind == 'vector' then
      redis.call('HSET', about, 'vectors', transaction)
    end
  end
end

local function write(step)
  local old = stored(step)
  if old then
    take_out(step, old)
  end
  if step.op == 'put' then
    put_in(step)
  end
  counted(step, (step.op == 'put' and 1 or 0) - (old and 1 or 0))
end

-- The first step that may not be done, given what is stored and what the steps before it leave.
local function refused(steps)
  local left = {}
  for number, step in ipairs(steps) do
    local place = step.kind .. ':' .. step.subject .. ':' .. step.id
    local old = left[place]
    if old == nil then
      local content = stored(step)
      old = content and head(content)
    end
    if old and old[2] ~= step.owner then
      return {'owner', number}
    end
    local version = old and old[1] or 0
    if step.expect ~= '' and tonumber(step.expect) ~= version then
      return {'version', number, version}
    end
    left[place] = step.op == 'put' and head(step.content)
  end
end

local function held_up(steps)
  for _, step in ipairs(steps) do
    local other = redis.call('HGET', base(step.subject) .. 'held', 'transaction')
    if other and other ~= transaction then
      return {'busy', other}
    end
  end
end

local function write_all(steps)
  for _, step in ipairs(steps) do
    write(step)
  end
end

local function subject_of(key)
  return string.match(key, '{(%x+)}')
end

if mode == 'commit' or mode == 'abort' then
  local held = base(subject_of(KEYS[1])) .. 'held'
  if redis.call('HGET', held, 'transaction') == transaction then
    if mode == 'commit' then
      write_all(cmsgpack.unpack(redis.call('HGET', held, 'steps')))
    end
    redis.call('DEL', held)
  end
  redis.call('SET', did_key(subject_of(KEYS[1])), '', 'EX', 120) -- a preparation that arrives late is too late
  return {'done'}
end

local steps = read_steps()
local did = did_key(subject_of(KEYS[1]))
if redis.call('EXISTS', did) == 1 then
  return {'done'} -- sent again because the reply was lost
end
local trouble = held_up(steps) or refused(steps)
if trouble then
  return trouble
end
if mode == 'prepare' then
  redis.call('HSET', base(steps[1].subject) .. 'held', 'transaction', transaction, 'steps', cmsgpack.pack(steps))
else
  write_all(steps)
  redis.call('SET', did, '', 'EX', 120)
end
return {'done'}
