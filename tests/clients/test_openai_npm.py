"""The openai package of npm, unmodified, on the Node that comes as a wheel."""

from __future__ import annotations

from stage.fixtures import Stage, Tenant
from stage.npm import installed, told

VERSION = "7.57.0"
SCRIPT = """
import OpenAI from 'openai';
const [base, key] = process.argv.slice(2);
const client = new OpenAI({baseURL: base, apiKey: key, maxRetries: 0});
const messages = [{role: 'user', content: 'Say hello.'}];
const seen = {};
const whole = await client.chat.completions.create({model: 'good', messages, max_tokens: 32});
seen.text = whole.choices[0].message.content;
const stream = await client.chat.completions.create(
  {model: 'good', messages, stream: true, stream_options: {include_usage: true}});
seen.streamed = '';
for await (const chunk of stream) {
  seen.streamed += chunk.choices[0]?.delta?.content ?? '';
  if (chunk.usage) seen.total = chunk.usage.total_tokens;
}
const parameters = {type: 'object', properties: {a: {type: 'integer'}}};
const tools = [{type: 'function', function: {name: 'f', parameters}}];
const called = await client.chat.completions.create({model: 'good', messages, tools});
seen.tool = called.choices[0].message.tool_calls[0].function;
seen.response = (await client.responses.create({model: 'good', input: 'Say hello.'})).output_text;
const failure = async (action) => { try { await action(); return null; } catch (error) {
  return [error.constructor.name, error.status, error.code]; } };
seen.unknown = await failure(() => client.chat.completions.create({model: 'nope', messages}));
const stranger = new OpenAI({baseURL: base, apiKey: 'sk-sh-nobody', maxRetries: 0});
seen.stranger = await failure(() => stranger.chat.completions.create({model: 'good', messages}));
console.log(JSON.stringify(seen));
"""


class TestNpmClient:
    def test_chats_streams_calls_tools_and_raises_typed_errors(self, stage: Stage, tenant: Tenant) -> None:
        seen = told(installed(f"openai-{VERSION}", openai=VERSION), SCRIPT, f"{stage.url}/v1", tenant.token)
        assert seen["text"] == seen["streamed"] == seen["response"] == "Hello there, friend of the city."
        assert seen["total"] == 28
        assert seen["tool"] == {"name": "f", "arguments": '{"a": 7}'}
        assert seen["unknown"] == ["NotFoundError", 404, "model_not_found"]
        assert seen["stranger"] == ["AuthenticationError", 401, "invalid_api_key"]
