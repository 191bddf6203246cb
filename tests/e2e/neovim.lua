-- Talks to groupd with what Neovim brings along: its own MessagePack-RPC client.
-- ADDRESS, TOKEN, EVENTS and OUT come from the environment; what was answered is written to OUT as JSON.
local channel = vim.fn.sockconnect('tcp', vim.env.ADDRESS, { rpc = true })

local function call(method, params)
  -- An empty Lua table could be a list or a map; params are a map.
  return vim.rpcrequest(channel, method, next(params) and params or vim.empty_dict())
end

local function run()
  local events = vim.env.EVENTS == 'yes'
  local greeting = call('hello', { token = vim.env.TOKEN, client = 'neovim', events = events })
  local group = call('create', { name = 'From Neovim' }).group
  local posted = {}
  for number = 1, 5 do
    posted[number] = call('post', { group = group, text = '你好 ' .. number })
    -- Let it handle what was pushed meanwhile.
    vim.wait(20)
  end
  local refused, why = pcall(call, 'post', { group = 'NOSUCHGROUP00000', text = 'x' })
  return {
    greeting = greeting,
    group = group,
    posted = posted,
    refused = not refused,
    why = tostring(why),
    history = call('history', { group = group, after = 0 }),
    ping = call('ping', {}),
  }
end

local ok, result = pcall(run)
local file = io.open(vim.env.OUT, 'w')
file:write(vim.fn.json_encode({ ok = ok, result = ok and result or tostring(result) }))
file:close()
vim.fn.chanclose(channel)
vim.cmd('qall!')
