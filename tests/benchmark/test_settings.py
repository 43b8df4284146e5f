"""Names of settings."""

import pytest

from ncp import spaces
from ncp.benchmark import settings
from ncp.errors import UserError


def test_the_papers_nine_settings_in_its_order():
    assert settings.PAPER == (
        "cls-50-1000", "cls-50-100", "cls-10-1000", "cls-10c", "seg", "seg-4x", "3ddet", "video", "video-p",
    )  # fmt: skip
    assert [settings.get(n).paper_name for n in settings.PAPER] == [
        "Cls-A", "Cls-B", "Cls-C", "Cls-10c", "Seg", "Seg-4x", "3dDet", "Video", "Video-p",
    ]  # fmt: skip
    for setting in settings.SETTINGS.values():
        assert setting.main == setting.metrics[0]
        assert setting.space in spaces.names()


@pytest.mark.parametrize(
    ("short", "name"), [("cls", "cls-50-1000"), ("seg", "seg"), ("det3d", "3ddet"), ("video", "video")]
)
def test_short_names_are_tasks(short, name):
    assert settings.get(short).name == name
    assert settings.get(name).task == short


@pytest.mark.parametrize("name", ["", "Seg", "cls-50", "3dDet", None, 5])
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(UserError) as error:
        settings.get(name)
    message = str(error.value)
    assert message.startswith(f"unknown setting '{name}'")
    for known in (*settings.PAPER, *settings.SHORT, "nas-bench-201"):
        assert known in message
    assert "\n" not in message


def test_settings_do_not_change():
    with pytest.raises(TypeError):
        settings.SETTINGS["x"] = settings.get("seg")
    with pytest.raises(AttributeError):
        settings.get("seg").main = "mAcc"


SETTING = "name: {name}\ntask: {task}\nmetrics: [m]\nspace: {space}\n"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes setting files of a user's own."""
    (tmp_path / "setting").mkdir()
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))

    def write(name, proxy="", task="seg", space="multires"):
        text = SETTING.format(name=name, task=task, space=space) + (f"proxy: {proxy}\n" if proxy else "")
        (tmp_path / "setting" / f"{name}.yaml").write_text(text)

    return write


def test_a_setting_names_its_cheap_proxy(mine):
    assert {name: s.proxy for name, s in settings.SETTINGS.items() if s.proxy} == {
        "cls-50-1000": "cls-10c",
        "seg": "seg-4x",
    }
    mine("crops-long", "crops")
    mine("crops")
    mine("crops-like-seg", "seg")
    assert settings.get("crops-long").proxy == "crops"
    assert settings.get("crops-like-seg").proxy == "seg"
    assert "proxy" not in settings.get("seg").described()  # tables are what they were


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("mine", "proxy must be another setting, given was 'mine', the setting itself"),
        ("nothing", "proxy must be a setting's name, given was 'nothing', of which there is no file"),
        ("cls", "proxy must be of the same task (seg), given was 'cls', whose task is cls"),
        ("cells", "proxy must be of the same space (multires), given was 'cells', whose space is nasbench201"),
        ("other", "proxy must be the cheaper one of two, given was 'other', whose own proxy is mine"),
        ("../seg", "given was '../seg', of which there is no file"),
        ("[seg]", "proxy"),
    ],
)
def test_a_proxy_that_is_none_is_refused_when_the_setting_is_read(mine, proxy, words):
    mine("mine", proxy)
    mine("cells", space="nasbench201")
    mine("other", "mine")
    with pytest.raises(UserError) as error:
        settings.get("mine")
    assert words in str(error.value)
    assert "mine.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_link_that_leads_nowhere_is_no_trap_for_other_settings(mine, tmp_path):
    mine("mine")
    (tmp_path / "setting" / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert settings.get("mine").task == "seg"
    with pytest.raises(UserError, match="no file"):
        settings.get("gone")


IN_SPACES = """name: both
spaces: [transnas-micro, multires]
task: normal
metrics: [valid_ssim]
builtin:
  data: builtin/indoor
  change:
    model: {{ decoder_width: 0.5 }}
  in_spaces:
    {space}:
      model: {{ base: 16 }}
      recipe: {{ length: 7 }}
"""


def test_what_differs_in_one_space_alone_is_told_beside_what_differs_in_all(tmp_path, monkeypatch):
    (tmp_path / "setting").mkdir()
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    (tmp_path / "setting" / "both.yaml").write_text(IN_SPACES.format(space="transnas-micro"))
    micro, multires = (settings.get(f"{space}/both").variant(real=False) for space in ("transnas-micro", "multires"))
    assert micro.change == {"model": {"decoder_width": 0.5, "base": 16}, "recipe": {"length": 7}}
    assert multires.change == {"model": {"decoder_width": 0.5}}
    assert micro.in_spaces == multires.in_spaces == {}
    (tmp_path / "setting" / "both.yaml").write_text(IN_SPACES.format(space="nasbench201"))
    with pytest.raises(UserError, match="in_spaces names transnas-micro, multires, given was 'nasbench201'"):
        settings.get("multires/both")
