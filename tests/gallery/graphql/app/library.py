"""A library behind GraphQL."""

import strawberry
from strawberry.fastapi import GraphQLRouter


@strawberry.type
class Book:
    """Something to read."""

    title: str
    pages: int = 100


@strawberry.type
class Query:
    @strawberry.field
    def books(self) -> list[Book]:
        return [Book(title="Persuasion"), Book(title="Middlemarch", pages=900)]

    @strawberry.field
    async def lost(self) -> Book:
        raise LookupError("that book is lost")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, title: str) -> Book:
        return Book(title=title)


router = GraphQLRouter(strawberry.Schema(Query, Mutation))
