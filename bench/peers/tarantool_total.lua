-- tarantool tarantool_total.lua SOCKET: what is on all accounts together.
local total = 0
for _, tuple in ipairs(require('net.box').connect('unix/:' .. arg[1]).space.data:select()) do
    total = total + tuple[2]
end
print(('%.0f'):format(tonumber(total)))
os.exit(0)
