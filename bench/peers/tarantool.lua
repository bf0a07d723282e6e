-- tarantool tarantool.lua DIRECTORY ACCOUNTS AMOUNT: serves DIRECTORY/socket. With tarantool_work.so in DIRECTORY the functions of
-- that (C) are there beside these.
local dir, accounts, amount = arg[1], tonumber(arg[2]), tonumber(arg[3])

package.cpath = dir .. '/?.so;' .. package.cpath
box.cfg{listen = 'unix/:' .. dir .. '/socket', wal_mode = 'fsync', work_dir = dir, log_level = 3, memtx_memory = 1024 ^ 3}

local space = box.schema.space.create('data', {id = 600})
space:create_index('primary', {parts = {{1, 'string'}}})

-- Answered by this thread, so they are the same as the C functions but for the language.
function nop(what) return what end

function transfer(from, to, by)
    box.begin()
    local have, there = space:get(from)[2], space:get(to)[2]
    if have < by then
        box.rollback()
        error('insufficient funds')
    end
    space:replace{from, have - by}
    space:replace{to, there + by}
    box.commit()
    return have - by
end

function spin(rounds)
    local x = 1
    for _ = 1, tonumber(rounds) do
        x = x * 16807 % 2147483647
    end
    return x
end

function give_up(one, two)
    box.begin()
    space:replace{one, 1}
    space:replace{two, 2}
    box.rollback()
    error('as it was to')
end

local function deposit(key, by)
    return space:update(key, {{'+', 2, by}})[2]
end

-- A savepoint makes the call inside one that can fail alone.
function outer(one, two)
    box.begin()
    space:update(one, {{'+', 2, 1}})
    local before = box.savepoint()
    local good, now = pcall(deposit, two, 1)
    if not good then
        box.rollback_to_savepoint(before)
    end
    box.commit()
    return now
end

box.begin()
for i = 0, accounts - 1 do
    space:replace{('acct:%08d'):format(i), amount}
end
box.commit()
for _, name in ipairs{'nop', 'transfer', 'spin', 'give_up'} do
    if package.searchpath('tarantool_work', package.cpath) then
        box.schema.func.create('tarantool_work.' .. name, {language = 'C'})
    end
end
box.schema.user.grant('guest', 'read,write,execute', 'universe')
require('fio').open(dir .. '/ready', {'O_CREAT', 'O_WRONLY'}, tonumber('644', 8)):close()
