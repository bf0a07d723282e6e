#!lua name=bench
-- Redis runs a function alone, to its end, and cannot take back what it has written: so there is no abort here, and the call
-- inside a call is a plain Lua call.
local function transfer(keys, args)
    local amount, have = tonumber(args[1]), tonumber(redis.call('GET', keys[1]) or 0)
    if have < amount then
        return redis.error_reply('ABORTED insufficient funds')
    end
    local there = tonumber(redis.call('GET', keys[2]) or 0)
    redis.call('SET', keys[1], string.format('%.0f', have - amount))
    redis.call('SET', keys[2], string.format('%.0f', there + amount))
    return have - amount
end

local function spin(keys, args)
    local x = 1
    for _ = 1, tonumber(args[1]) do
        x = x * 16807 % 2147483647
    end
    return x
end

local function deposit(key, amount)
    return redis.call('INCRBY', key, amount)
end

local function outer(keys, args)
    redis.call('INCRBY', keys[1], 1)
    return deposit(args[1], 1)
end

redis.register_function('transfer', transfer)
redis.register_function('outer', outer)
redis.register_function{function_name = 'spin', callback = spin, flags = {'no-writes'}}
redis.register_function{function_name = 'nop', callback = function(_, args) return args[1] end, flags = {'no-writes'}}
