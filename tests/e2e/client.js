// node-redis and ioredis against graftd: what an application does, checked as it goes.
const assert = require('assert')
const { createClient } = require('redis')
const Redis = require('ioredis')

const path = process.argv[2]

async function failsWith(word, promise) {
  await assert.rejects(promise, e => e.message.split(' ')[0] === word)
}

// send(...words): one command.
async function check(send) {
  assert.equal(await send('PING'), 'PONG')
  assert.equal(await send('SET', 'a', '1'), 'OK')
  assert.equal(await send('INCRBY', 'a', '4'), 5)
  assert.deepEqual(await send('MGET', 'a', 'nothing'), ['5', null])
  const before = Number(await send('FCALL', 'bank.deposit', '1', 'acct:ada', '100'))
  assert.equal(await send('FCALL', 'bank.transfer', '2', 'acct:ada', 'acct:bob', '30'), before - 30)
  await failsWith('ABORTED', send('FCALL', 'bank.transfer', '2', 'acct:ada', 'acct:bob', '30000'))
  await failsWith('CRASHED', send('FCALL', 'segv.run', '0', 'write'))
  await failsWith('NOGRAFT', send('FCALL', 'no.graft', '0'))
  assert.equal(await send('GET', 'naughty:segv'), null)
  await send('DEL', 'count')
  const replies = await Promise.all(Array.from({ length: 200 }, () => send('INCR', 'count')))
  assert.deepEqual(replies, Array.from({ length: 200 }, (_, i) => i + 1))
}

async function main() {
  const one = createClient({ socket: { path } })
  await one.connect()
  await check((...words) => one.sendCommand(words))
  assert.equal(await one.set('b', '2'), 'OK')
  assert.equal(await one.get('b'), '2')
  const keys = []
  for await (const key of one.scanIterator({ MATCH: 'acct:*' })) keys.push(key)
  assert.deepEqual(keys.sort(), ['acct:ada', 'acct:bob'])
  assert.deepEqual(await one.multi().set('m', '1').incr('m').get('m').exec(), ['OK', 2, '2'])
  await failsWith('EXECABORT', one.multi().set('m', '9').incr('b').hGetAll('b').exec())
  assert.equal(await one.get('m'), '2')
  await one.quit()

  const two = new Redis(path)
  await check((name, ...words) => two.call(name, ...words))
  assert.equal(await two.set('b', '3'), 'OK')
  assert.equal(await two.get('b'), '3')
  const results = await two.pipeline().set('c', '1').incr('c').get('c').exec()
  assert.deepEqual(results, [[null, 'OK'], [null, 2], [null, '2']])
  assert.deepEqual(await two.multi().set('m', '5').incr('m').exec(), [[null, 'OK'], [null, 6]])
  await two.set('text', 'x')
  await failsWith('EXECABORT', two.multi().set('m', '9').incr('text').exec())
  assert.equal(await two.get('m'), '6')
  await two.quit()
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
