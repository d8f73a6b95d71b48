import pytest

from alexnet import web


def write(folder, **modules):
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)


def test_modules_become_one_script_in_the_order_of_their_imports(tmp_path):
    write(
        tmp_path,
        main='import { a as first, B } from "./low.js";\nconsole.log(first, B);\n',
        low="export function a() {}\nexport class B {}\nconst hidden = 1;\n",
    )
    assert web.bundle("main.js", [tmp_path]) == "\n".join(
        [
            '"use strict";',
            "const module_low = (() => {",
            "function a() {}\nclass B {}\nconst hidden = 1;",
            "return {a, B};",
            "})();",
            "const module_main = (() => {",
            "const {a: first, B} = module_low;",
            "console.log(first, B);",
            "return {};",
            "})();",
        ]
    )


def test_a_module_that_two_import_is_there_once(tmp_path):
    write(
        tmp_path,
        main='import { b } from "./b.js";\nimport { c } from "./c.js";\nb(c);\n',
        b='import { c } from "./c.js";\nexport const b = c;\n',
        c="export const c = 1;\n",
    )
    assert web.bundle("main.js", [tmp_path]).count("const c = 1;") == 1


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"main": 'import { a } from "./other.js";\n'}, "0 modules are called other.js"),
        (
            {"main": 'import { a } from "./b.js";\n', "b": 'import { m } from "./main.js";\n'},
            "import each other: main",
        ),
        ({"main": 'import a from "./b.js";\n'}, "cannot be bundled: import a from"),
        ({"main": "export default 3;\n"}, "cannot be bundled: export default 3"),
    ],
)
def test_what_cannot_be_bundled_is_refused(tmp_path, modules, message):
    write(tmp_path, **modules)
    with pytest.raises(ValueError, match=message):
        web.bundle("main.js", [tmp_path])


def test_a_name_that_two_folders_have_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    write(tmp_path, main="")
    write(tmp_path / "other", main="")
    with pytest.raises(ValueError, match="2 modules"):
        web.bundle("main.js", [tmp_path, tmp_path / "other"])
