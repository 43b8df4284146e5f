"""A build of a handful of tiny trainings, in this process."""

from composed import compose

from ncp.campaign import work

SMALL = (
    "setting=seg", "count=3", "data.scenes=7", "data.val_scenes=3", "data.crop=[32,32]", "data.eval_size=[32,64]",
    "recipe.batch=2", "recipe.length=6", "recipe.eval_every=3", "recipe.save_every=2", "recipe.log_every=2",
    "bounds.c=[8,16]", "bounds.b=[1,1]", "bounds.n=[1,1]", "bounds.i=[8,8]", "bounds.o1=[8,8]", "trainer=cpu",
    "build.beat=1", "build.patience=10",
)  # fmt: skip


def options(folder, *overrides):
    """The options of a small build in ``folder``."""
    return compose(*SMALL, f"build.dir={folder}", *overrides, name="build")


def build(folder, *overrides):
    """Run it; plan, store and what was counted."""
    config = options(folder, *overrides)
    plan, store = work.open_build(config)
    return plan, store, work.work(config, plan, store)
