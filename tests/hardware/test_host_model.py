"""The software model of the processor: its arithmetic and its handles."""

import numpy as np

from plasticjax.hardware import _integer_ops as ops
from tests.hardware.kernels import compile_and_run, needs_compiler

MODEL_TABLES = r"""
#include "ppu_host.hpp"
volatile libnux::vx::PPUOnDLS ppu;
using namespace libnux::vx;
template <typename Row> void put(Row const& row) {
    for (size_t i = 0; i < 256; ++i) std::printf("%d ", static_cast<int>(row[i]));
    std::printf("\n");
}
template <typename Row> void all() {
    Row all;
    for (size_t i = 0; i < 256; ++i) all[i] = static_cast<typename Row::Element>(i);
    for (int i = 0; i < 256; ++i) {
        Row const b(static_cast<typename Row::Element>(i));
        put(all + b);
        put(all - b);
        put(all * b);
    }
    put(-all);
    for (int n = -9; n < 10; ++n) {
        put(all << n);
        put(all >> n);
    }
    for (int c = 0; c < 6; ++c)
        put(vector_if(all, static_cast<VectorIfCondition>(c), Row(1), Row(0)));
    put(saturate_weight(all));
    put(all.convert_contiguous());
    put(pow(all, 3));
}
int main() {
    all<VectorRowFracSat8>();
    all<VectorRowMod8>();
}
"""


@needs_compiler
def test_the_software_model_and_the_emulation_have_one_arithmetic(tmp_path):
    lines = compile_and_run(tmp_path, MODEL_TABLES).stdout.strip().splitlines()
    rows = iter([np.array(line.split(), int) for line in lines])
    u = np.arange(256)
    for lanes, suffix in ((ops.to_fractional(u, 8), "f"), (u, "m")):
        call = lambda name, *args: getattr(ops, name + suffix)(*args, 8)  # noqa: B023, E731
        for scalar in np.asarray(lanes):
            for name in ("add", "sub", "mul"):
                np.testing.assert_array_equal(next(rows), call(name, lanes, scalar))
        np.testing.assert_array_equal(next(rows), call("neg", lanes))
        for n in range(-9, 10):
            for name in ("shl", "shr"):
                np.testing.assert_array_equal(next(rows), call(name, lanes, n), f"{name} {n}")
        for condition in ops.CONDITIONS:
            np.testing.assert_array_equal(next(rows), ops.sel(lanes, condition, 1, 0))
        np.testing.assert_array_equal(next(rows), ops.satw(lanes))
        turned = ops.contiguous_to_modulo if suffix == "f" else ops.contiguous_to_fractional
        np.testing.assert_array_equal(next(rows), turned(lanes, 8))
        np.testing.assert_array_equal(next(rows), call("pow", lanes, 3))
    assert next(rows, None) is None


@needs_compiler
def test_handles_refuse_the_other_half_and_missing_rows(tmp_path):
    text = """
#include "ppu_host.hpp"
volatile libnux::vx::PPUOnDLS ppu = libnux::vx::PPUOnDLS::top;
int main() {
    grenade::vx::ppu::SynapseArrayViewHandle handle;
    handle.rows.values = {4};
    handle.hemisphere = libnux::vx::PPUOnDLS::HALF;
    handle.get_weights(ROW);
}
"""
    for half, row, message in (("bottom", "0", "other hemisphere"), ("top", "1", "does not have")):
        done = compile_and_run(tmp_path, text.replace("HALF", half).replace("ROW", row), True)
        assert done.returncode == 1 and message in done.stderr
    done = compile_and_run(tmp_path, text.replace("HALF", "top").replace("ROW", "0"), True)
    assert done.returncode == 0
