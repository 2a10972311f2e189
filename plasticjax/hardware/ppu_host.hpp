// A software model of the vector types of the plasticity processor and of the handles that its
// runtime passes to a kernel, so that an emitted kernel compiles and runs on any computer.
//
// Every operation is defined on int32_t; nothing relies on shifts of negative numbers.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define PPU_EXTERNAL
#define PPU_HOST_OP __attribute__((noinline)) inline

namespace ppu_host {

constexpr int32_t floor_divide(int32_t a, int32_t b) {
	return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}
constexpr int32_t power_of_two(int n) { return int32_t{1} << n; }

template <int W>
constexpr int32_t least() { return -power_of_two(W - 1); }
template <int W>
constexpr int32_t greatest() { return power_of_two(W - 1) - 1; }

template <int W>
constexpr int32_t saturate(int32_t a) { return std::min(std::max(a, least<W>()), greatest<W>()); }
template <int W>
constexpr int32_t wrap(int64_t a) {
	return static_cast<int32_t>(static_cast<uint64_t>(a) & ((uint64_t{1} << W) - 1));
}
template <int W>
constexpr int32_t as_signed(int32_t a) {
	return a > greatest<W>() ? a - 2 * power_of_two(W - 1) : a;
}

// The arithmetic of one lane: fractional and saturating, or modulo.
template <int W, bool Frac>
struct Lane {
	static int32_t add(int32_t a, int32_t b) { return Frac ? saturate<W>(a + b) : wrap<W>(a + b); }
	static int32_t sub(int32_t a, int32_t b) { return Frac ? saturate<W>(a - b) : wrap<W>(a - b); }
	static int32_t neg(int32_t a) { return Frac ? saturate<W>(-a) : wrap<W>(-a); }
	static int32_t mul(int32_t a, int32_t b) {
		if (!Frac) return wrap<W>(int64_t{a} * b);
		if (a == least<W>() && b == least<W>()) return greatest<W>();
		return floor_divide(a * b, power_of_two(W - 1));
	}
	static int32_t shift_left(int32_t a, int n) {
		if (n < 0) return shift_right(a, -n);
		if (n >= W) return 0;
		if (!Frac) return wrap<W>(int64_t{a} * power_of_two(n));
		// The sign bit stays, the bits below it move.
		return (a < 0 ? least<W>() : 0) + wrap<W - 1>(int64_t{a} * power_of_two(n));
	}
	static int32_t shift_right(int32_t a, int n) {
		if (n < 0) return shift_left(a, -n);
		if (n >= W) return 0;
		return floor_divide(a, power_of_two(n));
	}
};

template <int W, bool Frac>
struct ElementOf;
template <> struct ElementOf<8, false> { using type = uint8_t; };
template <> struct ElementOf<8, true> { using type = int8_t; };
template <> struct ElementOf<16, false> { using type = uint16_t; };
template <> struct ElementOf<16, true> { using type = int16_t; };

[[noreturn]] inline void fail(char const* reason) {
	std::fprintf(stderr, "ppu_host: %s\n", reason);
	std::exit(1);
}

} // namespace ppu_host

namespace libnux::vx {

enum class PPUOnDLS : uint32_t { top = 0, bottom = 1 };

enum class VectorIfCondition { greater, lesser, equal, greater_equal, lesser_equal, unequal };

// The even or odd columns of a row.
template <int W, bool Frac>
struct HostHalfRow {
	using Element = typename ppu_host::ElementOf<W, Frac>::type;
	static constexpr size_t size = 128;
	std::array<Element, size> lanes{};
	HostHalfRow() = default;
	explicit HostHalfRow(Element value) { lanes.fill(value); }
};

// One value for each of the 256 columns: column i is lane i/2 of the even or of the odd half.
template <int W, bool Frac>
struct HostRow {
	using HalfRow = HostHalfRow<W, Frac>;
	using Element = typename HalfRow::Element;
	using Lane = ppu_host::Lane<W, Frac>;
	static constexpr size_t size = 256;
	HalfRow even{}, odd{};

	HostRow() = default;
	HostRow(Element value) : even(value), odd(value) {}
	HostRow(HalfRow const& e, HalfRow const& o) : even(e), odd(o) {}
	Element& operator[](size_t i) { return i % 2 ? odd.lanes[i / 2] : even.lanes[i / 2]; }
	Element const& operator[](size_t i) const {
		return i % 2 ? odd.lanes[i / 2] : even.lanes[i / 2];
	}

	template <typename F>
	static HostRow each(F f) {
		HostRow result;
		for (size_t i = 0; i < 128; ++i) {
			result.even.lanes[i] = static_cast<Element>(f(0, i));
			result.odd.lanes[i] = static_cast<Element>(f(1, i));
		}
		return result;
	}
	int32_t lane(int half, size_t i) const { return half ? odd.lanes[i] : even.lanes[i]; }

	PPU_HOST_OP HostRow operator+(HostRow const& b) const {
		return each([&](int h, size_t i) { return Lane::add(lane(h, i), b.lane(h, i)); });
	}
	PPU_HOST_OP HostRow operator-(HostRow const& b) const {
		return each([&](int h, size_t i) { return Lane::sub(lane(h, i), b.lane(h, i)); });
	}
	PPU_HOST_OP HostRow operator*(HostRow const& b) const {
		return each([&](int h, size_t i) { return Lane::mul(lane(h, i), b.lane(h, i)); });
	}
	PPU_HOST_OP HostRow operator-() const {
		return each([&](int h, size_t i) { return Lane::neg(lane(h, i)); });
	}
	PPU_HOST_OP HostRow operator<<(int n) const {
		return each([&](int h, size_t i) { return Lane::shift_left(lane(h, i), n); });
	}
	PPU_HOST_OP HostRow operator>>(int n) const {
		return each([&](int h, size_t i) { return Lane::shift_right(lane(h, i), n); });
	}
	HostRow& operator+=(HostRow const& b) { return *this = *this + b; }
	HostRow& operator-=(HostRow const& b) { return *this = *this - b; }
	HostRow& operator*=(HostRow const& b) { return *this = *this * b; }
	bool operator==(HostRow const& b) const {
		return even.lanes == b.even.lanes && odd.lanes == b.odd.lanes;
	}
	bool operator!=(HostRow const& b) const { return !(*this == b); }

	HostRow<W, !Frac> convert_contiguous() const {
		int32_t const offset = Frac ? ppu_host::power_of_two(W - 1) : -ppu_host::power_of_two(W - 1);
		return HostRow<W, !Frac>::each([&](int h, size_t i) { return lane(h, i) + offset; });
	}

	// static_cast: other width of the same arithmetic, or other arithmetic of the same width.
	template <int V, bool OtherFrac>
	PPU_HOST_OP explicit operator HostRow<V, OtherFrac>() const {
		static_assert(V == W || OtherFrac == Frac, "change width and arithmetic one after the other");
		return HostRow<V, OtherFrac>::each([&](int h, size_t i) -> int32_t {
			int32_t const a = lane(h, i);
			if (V == W) return OtherFrac == Frac ? a : OtherFrac ? ppu_host::as_signed<W>(a)
			                                                     : ppu_host::wrap<W>(a);
			if (V > W) return Frac ? a * 256 : a;
			return Frac ? ppu_host::floor_divide(a, 256) : ppu_host::wrap<8>(a);
		});
	}
};

using VectorRowFracSat8 = HostRow<8, true>;
using VectorRowFracSat16 = HostRow<16, true>;
using VectorRowMod8 = HostRow<8, false>;
using VectorRowMod16 = HostRow<16, false>;

namespace detail {
inline bool holds(int32_t a, VectorIfCondition condition) {
	switch (condition) {
		case VectorIfCondition::greater: return a > 0;
		case VectorIfCondition::lesser: return a < 0;
		case VectorIfCondition::equal: return a == 0;
		case VectorIfCondition::greater_equal: return a >= 0;
		case VectorIfCondition::lesser_equal: return a <= 0;
		default: return a != 0;
	}
}
} // namespace detail

template <int W, bool MaskFrac, bool Frac>
PPU_HOST_OP HostRow<W, Frac> vector_if(
    HostRow<W, MaskFrac> const& mask, VectorIfCondition condition, HostRow<W, Frac> const& t,
    HostRow<W, Frac> const& f) {
	return HostRow<W, Frac>::each([&](int h, size_t i) {
		return detail::holds(mask.lane(h, i), condition) ? t.lane(h, i) : f.lane(h, i);
	});
}

template <bool Frac>
PPU_HOST_OP HostRow<8, Frac> saturate_weight(HostRow<8, Frac> const& a) {
	return HostRow<8, Frac>::each([&](int h, size_t i) {
		int32_t const byte = ppu_host::as_signed<8>(ppu_host::wrap<8>(a.lane(h, i)));
		return std::min(std::max(byte, 0), 63);
	});
}

template <int W, bool Frac>
HostRow<W, Frac> pow(HostRow<W, Frac> const& a, size_t n) {
	HostRow<W, Frac> result(1);
	if (n > 0) result = a;
	for (size_t i = 1; i < n; ++i) result *= a;
	return result;
}

// Random numbers come from a tape: a row of bytes for each draw that is used. Draws that the kernel
// discards return other bytes.
struct HostRandom {
	size_t discards = 16;
	std::vector<std::array<uint8_t, 256>> tape;
	std::array<size_t, 2> draws{};
};
inline HostRandom host_random;

template <typename Half>
Half parallel_rng_rand(size_t generator) {
	size_t const draw = host_random.draws[generator]++;
	Half result;
	if (draw % (host_random.discards + 1) != host_random.discards) {
		result.lanes.fill(static_cast<typename Half::Element>(draw * 37 + 11));
		return result;
	}
	size_t const row = draw / (host_random.discards + 1);
	if (row >= host_random.tape.size()) ppu_host::fail("the kernel draws more than the tape holds");
	for (size_t i = 0; i < 128; ++i)
		result.lanes[i] =
		    static_cast<typename Half::Element>(host_random.tape[row][2 * i + generator]);
	return result;
}

} // namespace libnux::vx

namespace ppu_host {

// What the two halves of the chip hold.
struct Hemisphere {
	using Row = libnux::vx::VectorRowMod8;
	std::vector<Row> weights = std::vector<Row>(512), labels = std::vector<Row>(512),
	                 causal = std::vector<Row>(512), acausal = std::vector<Row>(512);
	std::vector<uint32_t> resets = std::vector<uint32_t>(512);
	Row rates, membranes;
};
inline std::array<Hemisphere, 2> chip;

} // namespace ppu_host

extern volatile libnux::vx::PPUOnDLS ppu;

namespace grenade::vx::ppu {

using namespace libnux::vx;

struct Indices {
	std::vector<size_t> values;
	size_t size() const { return values.size(); }
	size_t operator[](size_t i) const { return values[i]; }
};

struct SynapseArrayViewHandle {
	using Row = VectorRowMod8;
	Indices columns, rows;
	PPUOnDLS hemisphere = PPUOnDLS::top;
	Row column_mask;
	struct CorrelationRow { Row causal, acausal; };

	ppu_host::Hemisphere& half(size_t row) const {
		if (::ppu != hemisphere) ppu_host::fail("access to the other hemisphere");
		if (row >= rows.size()) ppu_host::fail("access to a row that the handle does not have");
		return ppu_host::chip[static_cast<size_t>(hemisphere)];
	}
	Row get_weights(size_t row) const { return half(row).weights[rows[row]]; }
	void set_weights(Row const& value, size_t row) const {
		write(half(row).weights[rows[row]], value);
	}
	Row get_labels(size_t row) const { return half(row).labels[rows[row]]; }
	void set_labels(Row const& value, size_t row) const {
		write(half(row).labels[rows[row]], value);
	}
	CorrelationRow get_correlation(size_t row, bool reset) const {
		auto& here = half(row);
		if (reset) reset_correlation(row);
		return {here.causal[rows[row]], here.acausal[rows[row]]};
	}
	void reset_correlation(size_t row) const { half(row).resets[rows[row]] += 1; }

private:
	void write(Row& into, Row const& value) const {
		for (size_t i = 0; i < Row::size; ++i)
			if (as_signed_byte(column_mask[i]) > 0) into[i] = value[i];
	}
	static int as_signed_byte(uint8_t a) { return a > 127 ? a - 256 : a; }
};

struct NeuronViewHandle {
	using Row = VectorRowMod8;
	Indices columns;
	PPUOnDLS hemisphere = PPUOnDLS::top;
	Row get_rate_counters(bool reset) {
		Row& rates = half().rates;
		Row const result = rates;
		if (reset) rates = Row(0);
		return result;
	}
	Row get_analog_readouts() { return half().membranes; }

private:
	ppu_host::Hemisphere& half() const {
		if (::ppu != hemisphere) ppu_host::fail("access to the other hemisphere");
		return ppu_host::chip[static_cast<size_t>(hemisphere)];
	}
};

inline uint64_t host_time = 0;
inline uint64_t now() { return host_time; }

} // namespace grenade::vx::ppu

// Calls a function with the elements of arrays or tuples, one after the other.
namespace hate {
template <typename F, size_t... I, typename... T>
void for_each_at(F& f, std::index_sequence<I...>, T&... tuples) {
	auto const at = [&](auto index) { f(std::get<decltype(index)::value>(tuples)...); };
	(at(std::integral_constant<size_t, I>{}), ...);
}
template <typename F, typename First, typename... T>
void for_each(F f, First& first, T&... rest) {
	constexpr size_t size = std::tuple_size<std::remove_const_t<First>>::value;
	for_each_at(f, std::make_index_sequence<size>{}, first, rest...);
}
} // namespace hate

// What stand-alone kernels use: rows of the own half, by number.
namespace libnux::vx {
constexpr uint32_t dls_weight_base = 0, dls_decoder_base = 1;
inline VectorRowMod8& host_row(size_t row, uint32_t base) {
	auto& half = ppu_host::chip[static_cast<size_t>(::ppu)];
	return base == dls_weight_base ? half.weights[row] : half.labels[row];
}
inline VectorRowMod8 get_row_via_vector(size_t row, uint32_t base) { return host_row(row, base); }
inline void set_row_via_vector_masked(
    VectorRowMod8 const& value, VectorRowMod8 const& mask, size_t row, uint32_t base) {
	auto& into = host_row(row, base);
	for (size_t i = 0; i < VectorRowMod8::size; ++i)
		if (mask[i] > 0 && mask[i] < 128) into[i] = value[i];
}
} // namespace libnux::vx
