from invoke import task


@task
def greet(c):
    """Their own."""
    print("hello")
