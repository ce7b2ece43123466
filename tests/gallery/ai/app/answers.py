"""Asks for an answer in five ways; the last two routes give it, so no network is needed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

router = APIRouter()
MODEL = "gpt-4o-mini"
client = OpenAI()
async_client = AsyncOpenAI()
chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | ChatOpenAI(model=MODEL)
agent = Agent(OpenAIChatModel(MODEL), instructions="Answer in one word.")


class State(TypedDict):
    question: str
    answers: list[str]


class Answer(BaseModel):
    text: str


def think(state: State) -> dict[str, Any]:
    """One step of the graph."""
    said = chain.invoke({"question": state["question"]}).content
    return {"answers": [*state["answers"], str(said)]}


steps = StateGraph(State)
steps.add_node("think", think)
steps.add_edge(START, "think")
steps.add_conditional_edges("think", lambda state: END if len(state["answers"]) > 1 else "think")
graph = steps.compile()


@router.get("/ask/openai")
def with_openai(question: str) -> Answer:
    """A route that is no coroutine: it waits in a thread."""
    said = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}]
    )
    return Answer(text=said.choices[0].message.content or "")


@router.get("/ask/langchain")
async def with_langchain(question: str) -> Answer:
    return Answer(text=str((await chain.ainvoke({"question": question})).content))


@router.get("/ask/graph")
def with_graph(question: str) -> list[str]:
    return graph.invoke({"question": question, "answers": []})["answers"]


@router.get("/ask/agent")
async def with_agent(question: str) -> Answer:
    return Answer(text=(await agent.run(question)).output)


@router.get("/ask/stream")
async def streamed(question: str) -> StreamingResponse:
    async def words() -> AsyncIterator[str]:
        stream = await async_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": question}], stream=True
        )
        async for chunk in stream:
            yield chunk.choices[0].delta.content or ""

    return StreamingResponse(words(), media_type="text/plain")


@router.post("/v1/chat/completions")
def model(asked: dict[str, Any] = Body()) -> Any:  # noqa: B008
    """What an OpenAI-compatible server answers."""
    text = str(asked["messages"][-1]["content"])
    same = {"id": "1", "created": 1, "model": MODEL, "system_fingerprint": "x"}
    if asked.get("stream"):
        return StreamingResponse(chunks(same, text), media_type="text/event-stream")
    message = {"role": "assistant", "content": f"{text}?"}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {**same, "object": "chat.completion", "choices": [choice], "usage": usage}


def chunks(same: dict[str, Any], text: str) -> Iterator[str]:
    """The same in pieces, as server-sent events."""
    import json
    import time

    for word in (text, " is ", "what?"):
        time.sleep(0.2)
        delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        chunk = {**same, "object": "chat.completion.chunk", "choices": [delta]}
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"
