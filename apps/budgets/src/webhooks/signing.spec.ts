import { expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { newSecret, signedHeaders } from './signing.js';

const body = '{"type":"webhook.test","data":{"tenant":"münchen"}}';

test('a message is verified by the library that its receivers use, with any of its secrets and with no other', () => {
  const [first, second] = [newSecret(), newSecret()];
  const headers = signedHeaders('msg_1', Date.now(), body, [first, second]);
  for (const secret of [first, second]) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
  expect(() => new Webhook(newSecret()).verify(body, headers)).toThrow('No matching signature');
  expect(() => new Webhook(first).verify(`${body} `, headers)).toThrow('No matching signature');
  expect(() => new Webhook(first).verify(body, { ...headers, 'webhook-id': 'msg_2' })).toThrow('No matching signature');
});

test('a message is too old for its receivers six minutes later', () => {
  const secret = newSecret();
  const headers = signedHeaders('msg_1', Date.now() - 360_000, body, [secret]);
  expect(() => new Webhook(secret).verify(body, headers)).toThrow('too old');
});
