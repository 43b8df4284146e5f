"""A build without trainings: a shared file system in memory, a virtual clock, workers that die, sleep and come back."""

import heapq
import json
from collections import defaultdict


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Memory:
    """A store in memory whose time is a simulation's; ``hook(kind)`` runs before every operation and may raise ``Killed``."""

    def __init__(self):
        self.folders = defaultdict(dict)
        self.now = 0.0
        self.hook = lambda kind: None
        self.operations = 0

    def _split(self, name, kind):
        self.operations += 1
        self.hook(kind)
        return name.rsplit("/", 1) if "/" in name else ("", name)

    def create(self, name, content):
        folder, file = self._split(name, "create")
        if file in self.folders[folder]:
            return False
        self.folders[folder][file] = [content, self.now]
        return True

    def read(self, name, limit=None):
        folder, file = self._split(name, "read")
        entry = self.folders[folder].get(file)
        return entry and entry[0]

    def names(self, folder):
        self.operations += 1
        self.hook("names")
        return list(self.folders[folder])

    def touch(self, name):
        folder, file = self._split(name, "touch")
        if file in self.folders[folder]:
            self.folders[folder][file][1] = self.now

    def age(self, name):
        folder, file = self._split(name, "age")
        entry = self.folders[folder].get(file)
        return entry and self.now - entry[1]

    def move(self, old, new):
        folder, file = self._split(old, "move")
        entry = self.folders[folder].pop(file, None)
        if entry is not None:
            self.folders[folder][new.rsplit("/", 1)[1]] = entry
        return entry is not None


class Events:
    """What happens when, in the order of time."""

    def __init__(self, store):
        self.store, self.queue, self.count = store, [], 0

    def at(self, time, action):
        self.count += 1
        heapq.heappush(self.queue, (time, self.count, action))

    def after(self, seconds, action):
        self.at(self.store.now + seconds, action)

    def run(self, until=float("inf")):
        while self.queue and self.queue[0][0] <= until:
            time, _, action = heapq.heappop(self.queue)
            self.store.now = max(self.store.now, time)
            action()

    def one(self):
        """The next event, out of its time: something else happens in the middle of an operation."""
        if self.queue:
            heapq.heappop(self.queue)[2]()


def content(store, name):
    folder, file = name.rsplit("/", 1)
    return json.loads(store.folders[folder][file][0])
