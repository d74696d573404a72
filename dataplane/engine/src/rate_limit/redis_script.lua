-- KEYS[1] a bucket; ARGV: interval, most debt, units in a microsecond. A bucket is "<moment in microseconds> <debt>".
local interval, most_debt, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local debt, is_back = 0, false
local bucket = redis.call('GET', KEYS[1])
if bucket then
  local moment, owed = string.match(bucket, '^(%d+) (%d+)$')
  if moment then
    -- A clock that was set back forgives nothing until it goes on from there.
    is_back = now < tonumber(moment)
    debt = math.min(math.max(tonumber(owed) - math.max(now - tonumber(moment), 0) * units, 0), most_debt)
  end
end
local allowed = 0
if debt + interval <= most_debt then
  allowed = 1
  debt = debt + interval
end
if allowed == 1 or is_back then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, debt), 'PX', math.ceil(debt / units / 1000))
end
return {allowed, debt}
