"""Vercel's AI SDK and LangChain for JavaScript, unmodified: each of their ways to a model, a tool's round included."""

from __future__ import annotations

from typing import Final

import pytest

from stage.fixtures import Stage, Tenant
from stage.npm import installed, told

pytestmark = pytest.mark.prove
HELLO: Final = "Hello there, friend of the city."
AI: Final = {
    "ai": "6.0.326", "@ai-sdk/openai": "3.0.141", "@ai-sdk/openai-compatible": "2.0.92", "@ai-sdk/anthropic": "3.0.140",
    "zod": "4.6.7",
}  # fmt: skip
LANGCHAIN: Final = {
    "@langchain/core": "1.4.0", "@langchain/openai": "1.5.8", "@langchain/anthropic": "1.5.11", "zod": "4.6.7",
}  # fmt: skip
AI_SCRIPT = """
import {generateText, streamText, stepCountIs, tool, Output} from 'ai';
import {createOpenAI} from '@ai-sdk/openai';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {createAnthropic} from '@ai-sdk/anthropic';
import {z} from 'zod';
globalThis.AI_SDK_LOG_WARNINGS = false;
const [base, apiKey] = process.argv.slice(2);
const openai = createOpenAI({baseURL: base, apiKey}), anthropic = createAnthropic({baseURL: base, apiKey});
const city = createOpenAICompatible({name: 'city', baseURL: base, apiKey, supportsStructuredOutputs: true});
const ways = {chat: openai.chat, responses: openai, compatible: city, messages: anthropic};
const providerOptions = {openai: {store: false, include: ['reasoning.encrypted_content']}};
const weather = tool({inputSchema: z.object({city: z.string()}), execute: async () => 'sunny'});
const seen = {};
for (const [name, way] of Object.entries(ways)) {
  const rest = {model: way('good'), prompt: 'Say hello.', maxOutputTokens: 64, maxRetries: 0, providerOptions};
  const whole = await generateText(rest);
  const stream = streamText(rest);
  let streamed = '';
  for await (const piece of stream.textStream) streamed += piece;
  const round = await generateText({...rest, tools: {weather}, stopWhen: stepCountIs(3)});
  const shape = Output.object({schema: z.object({name: z.string(), people: z.number()})});
  const {output} = await generateText({...rest, output: shape});
  const failed = await generateText({...rest, model: way('nope')}).catch(error => error);
  seen[name] = {text: whole.text, total: whole.usage.totalTokens, streamed, steps: round.steps.length,
                result: round.steps[0].toolResults[0].output, last: round.text, output, status: failed.statusCode};
}
console.log(JSON.stringify(seen));
"""
LANGCHAIN_SCRIPT = """
import {ChatOpenAI} from '@langchain/openai';
import {ChatAnthropic} from '@langchain/anthropic';
import {tool} from '@langchain/core/tools';
import {HumanMessage} from '@langchain/core/messages';
import {z} from 'zod';
const [base, apiKey] = process.argv.slice(2);
const common = {model: 'good', apiKey, maxRetries: 0}, configuration = {baseURL: base};
const ways = {
  chat: new ChatOpenAI({...common, configuration}),
  responses: new ChatOpenAI({...common, configuration, useResponsesApi: true, zdrEnabled: true}),
  messages: new ChatAnthropic({...common, anthropicApiUrl: base.replace('/v1', ''), maxTokens: 64}),
};
const weather = tool(async () => 'sunny', {name: 'weather', schema: z.object({city: z.string()})});
const seen = {};
for (const [name, model] of Object.entries(ways)) {
  const whole = await model.invoke('Say hello.');
  let streamed = '';
  for await (const piece of await model.stream('Say hello.')) streamed += piece.text;
  const armed = model.bindTools([weather]), asked = new HumanMessage('Weather?');
  const called = await armed.invoke([asked]);
  const last = await armed.invoke([asked, called, await weather.invoke(called.tool_calls[0])]);
  seen[name] = {text: whole.text, total: whole.usage_metadata.total_tokens, streamed, last: last.text,
                args: called.tool_calls[0].args};
}
console.log(JSON.stringify(seen));
"""


class TestAiSdk:
    def test_writes_streams_works_with_tools_and_fills_schemas_by_every_protocol(
        self, stage: Stage, tenant: Tenant
    ) -> None:
        seen = told(installed("ai-6.0.326", **AI), AI_SCRIPT, f"{stage.url}/v1", tenant.token)
        assert set(seen) == {"chat", "responses", "compatible", "messages"}
        for found in seen.values():
            assert found == {
                "text": HELLO, "streamed": HELLO, "total": 28, "steps": 2, "result": "sunny", "last": HELLO,
                "output": {"name": "Shanhe", "people": found["output"]["people"]}, "status": 404,
            }  # fmt: skip


class TestLangchain:
    def test_writes_streams_and_works_with_tools_by_every_protocol(self, stage: Stage, tenant: Tenant) -> None:
        seen = told(installed("langchain-1.5.8", **LANGCHAIN), LANGCHAIN_SCRIPT, f"{stage.url}/v1", tenant.token)
        assert set(seen) == {"chat", "responses", "messages"}
        for found in seen.values():
            assert found == {
                "text": HELLO, "streamed": HELLO, "total": 28, "last": HELLO, "args": {"city": "Shanhe"},
            }  # fmt: skip
