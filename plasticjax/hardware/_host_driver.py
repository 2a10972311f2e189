"""C++ that feeds an emitted kernel with inputs and writes what it stored."""

from ._program import IntegerProgram, RawInput

DRIVER = """\
static FILE *in_file, *out_file;
static void open_files(char const* in, char const* out) {
    in_file = std::fopen(in, "rb");
    out_file = std::fopen(out, "wb");
    if (!in_file || !out_file) ppu_host::fail("cannot open files");
}
static int close_files() { return std::fclose(in_file) + std::fclose(out_file); }
static int32_t get() {
    int32_t word = 0;
    if (std::fread(&word, 4, 1, in_file) != 1) ppu_host::fail("too little input");
    return word;
}
static void put(int32_t word) { std::fwrite(&word, 4, 1, out_file); }
template <typename Row>
static Row get_row() {
    Row row;
    for (size_t i = 0; i < Row::size; ++i) row[i] = static_cast<typename Row::Element>(get());
    return row;
}
template <typename Row>
static void put_row(Row const& row) {
    for (size_t i = 0; i < Row::size; ++i) put(row[i]);
}
"""


def driver(program: IntegerProgram, target: str, rng_discards: int) -> str:
    """C++ that reads the inputs of one kernel, calls it, and writes what it stored."""
    signed = any(raw.kind == "signed_weight" for raw in program.inputs)
    bytes_ = "libnux::vx::VectorRowMod8"
    lines = [
        *(["volatile libnux::vx::PPUOnDLS ppu;"] if target == "pynn" else []),
        *(_SENSORS if target == "libnux" else []),
        "static void run() {",
        "    int32_t const n_handles = get();",
        f"    auto const mask = get_row<{bytes_}>();",
        "    std::vector<grenade::vx::ppu::SynapseArrayViewHandle> synapses, inhibitory;",
        "    std::vector<grenade::vx::ppu::NeuronViewHandle> neurons;",
        "    for (int32_t h = 0; h < n_handles; ++h) {",
        "        grenade::vx::ppu::SynapseArrayViewHandle handle;",
        "        handle.hemisphere = static_cast<libnux::vx::PPUOnDLS>(h);",
        "        handle.column_mask = mask;",
        "        int32_t const n = get();",
        "        for (int32_t r = 0; r < n; ++r)",
        f"            handle.rows.values.push_back(static_cast<size_t>({1 + signed} * r));",
        "        synapses.push_back(handle);",
        *(_PARTNERS if signed else ()),
        "        grenade::vx::ppu::NeuronViewHandle neuron;",
        "        neuron.hemisphere = handle.hemisphere;",
        "        neurons.push_back(neuron);",
        "    }",
        "    for (int32_t h = 0; h < n_handles; ++h) {",
        "        ::ppu = static_cast<libnux::vx::PPUOnDLS>(h);",
        *(["        ppu = static_cast<libnux::vx::PPUOnDLS>(h);"] if target == "pynn" else []),
        "        auto& half = ppu_host::chip[static_cast<size_t>(h)];",
        "        auto const& handle = synapses[static_cast<size_t>(h)];",
        "        size_t const n = handle.rows.size();",
        "        static_cast<void>(half);",
        "        libnux::vx::host_random = {};",
        f"        libnux::vx::host_random.discards = {rng_discards};",
    ]
    lines += [f"        {line}" for raw in program.inputs for line in _reading(raw, signed, target)]
    draws = sum(raw.kind == "tape" for raw in program.inputs)
    lines += [
        f"        for (size_t i = 0; i < n * {draws}; ++i) {{" if draws else "        {",
        *(
            [
                "            std::array<uint8_t, 256> row;",
                "            for (auto& byte : row) byte = static_cast<uint8_t>(get());",
                "            libnux::vx::host_random.tape.push_back(row);",
            ]
            if draws
            else []
        ),
        "        }",
        *(
            ["        baseline_is_known = true;"]
            if any(raw.kind == "baseline" for raw in program.inputs)
            else []
        ),
        *(f"        {line}" for line in _CALLS[target, signed]),
    ]
    lines += [f"        {line}" for output in program.outputs for line in _writing(output)]
    return "\n".join([*lines, "    }", "}"])


_SENSORS = (
    "CorrelationRow read_correlation(size_t row, bool) {",
    "    auto& half = ppu_host::chip[static_cast<size_t>(::ppu)];",
    "    return {half.causal[row], half.acausal[row]};",
    "}",
    "VectorRowMod8 read_rate_counters(bool) {",
    "    return ppu_host::chip[static_cast<size_t>(::ppu)].rates;",
    "}",
    "VectorRowMod8 read_membranes() {",
    "    return ppu_host::chip[static_cast<size_t>(::ppu)].membranes;",
    "}",
)

# Rows of the inhibitory handles are in another order, and the host says which belongs to which.
_PARTNERS = (
    "        for (auto& row : handle.rows.values) row += 1;",
    "        std::reverse(handle.rows.values.begin(), handle.rows.values.end());",
    "        inhibitory.push_back(handle);",
)
_CALLS = {
    ("pynn", True): (
        "for (int32_t r = 0; r < 255; ++r) partner_rows[r] = r + 1;",
        "if (n_handles == 1) {",
        "    std::array<grenade::vx::ppu::SynapseArrayViewHandle, 2> s{",
        "        synapses[0], inhibitory[0]};",
        "    std::array<grenade::vx::ppu::NeuronViewHandle, 1> m{neurons[0]};",
        "    PLASTICITY_RULE_KERNEL(s, m);",
        "} else {",
        "    std::array<grenade::vx::ppu::SynapseArrayViewHandle, 4> s{",
        "        synapses[0], synapses[1], inhibitory[0], inhibitory[1]};",
        "    std::array<grenade::vx::ppu::NeuronViewHandle, 2> m{neurons[0], neurons[1]};",
        "    PLASTICITY_RULE_KERNEL(s, m);",
        "}",
    ),
    ("libnux", True): (
        "auto partners = handle.rows.values;",
        "for (auto& row : partners) row += 1;",
        "Synapses synapse{handle.rows.values.data(), n, handle.column_mask};",
        "Synapses others{partners.data(), n, handle.column_mask};",
        "Neurons neuron;",
        "plasticity_kernel(synapse, others, neuron);",
    ),
    ("pynn", False): (
        "if (n_handles == 1) {",
        "    std::array<grenade::vx::ppu::SynapseArrayViewHandle, 1> s{synapses[0]};",
        "    std::array<grenade::vx::ppu::NeuronViewHandle, 1> m{neurons[0]};",
        "    PLASTICITY_RULE_KERNEL(s, m);",
        "} else {",
        "    std::array<grenade::vx::ppu::SynapseArrayViewHandle, 2> s{synapses[0], synapses[1]};",
        "    std::array<grenade::vx::ppu::NeuronViewHandle, 2> m{neurons[0], neurons[1]};",
        "    PLASTICITY_RULE_KERNEL(s, m);",
        "}",
    ),
    ("libnux", False): (
        "Synapses synapse{handle.rows.values.data(), handle.rows.size(), handle.column_mask};",
        "Neurons neuron;",
        "plasticity_kernel(synapse, neuron);",
    ),
}


def _reading(raw: RawInput, signed: bool, target: str) -> list[str]:
    bytes_, words = "libnux::vx::VectorRowMod8", "libnux::vx::VectorRowFracSat16"
    each = "for (size_t r = 0; r < n; ++r)"
    if raw.kind == "signed_weight":
        return [
            f"{each} {{",
            f"    {bytes_} exc(0), inh(0);",
            "    for (size_t i = 0; i < 256; ++i) {",
            "        int32_t const w = get();",
            "        (w < 0 ? inh : exc)[i] = static_cast<uint8_t>(w < 0 ? -w : w);",
            "    }",
            "    half.weights[2 * r] = exc;",
            "    half.weights[2 * r + 1] = inh;",
            "}",
        ]
    row = "2 * r" if signed else "r"
    rows = {
        "weight": "half.weights",
        "label": "half.labels",
        "causal": "half.causal",
        "anticausal": "half.acausal",
    }
    if raw.kind in rows:
        return [f"{each} {rows[raw.kind]}[{row}] = get_row<{bytes_}>();"]
    return {
        "rate": [f"half.rates = get_row<{bytes_}>();"],
        "membrane": [f"half.membranes = get_row<{bytes_}>();"],
        "baseline": [f"{raw.symbol} = get_row<{bytes_}>();"],
        "symbol": [f"{raw.symbol} = get();"],
        "time_index": [f"{raw.symbol} = get();"],
        "row_table": [f"{each} {raw.symbol}[{row if target == 'pynn' else 'r'}] = get();"],
        "state": [f"{each} {raw.symbol}[r] = get_row<{words}>();"],
        "column_table": [f"for (size_t i = 0; i < 256; ++i) {raw.symbol}[i] = get();"],
    }.get(raw.kind, [])


def _writing(output) -> list[str]:
    each = "for (size_t r = 0; r < n; ++r)"
    if output.kind == "signed_weight":
        return [
            f"{each} for (size_t i = 0; i < 256; ++i)",
            "    put(half.weights[2 * r][i] - half.weights[2 * r + 1][i]);",
        ]
    name = {"weight": "half.weights", "label": "half.labels"}.get(output.kind, output.symbol)
    return [f"{each} put_row({name}[r]);"]
