package engine

// functionGroups classifies every scalar function, aggregate and macro. A name
// belongs to one group; a test holds the table against the engine.
var functionGroups = []group{
	{title: "Operators", names: `!__postfix !~~ !~~* % & && * ** + - ->> / // <-> << <=> <@ >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~
		like_escape not_like_escape ilike_escape not_ilike_escape`},
	{title: "Numbers", names: `abs add acos acosh asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even
		exp factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor isfinite isinf isnan lcm least
		least_common_multiple lgamma ln log log10 log2 mod multiply nextafter pi pow power radians round round_even roundbankers
		sign signbit sin sinh sqrt subtract tan tanh trunc xor`},
	{title: "Text", names: `ascii bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein editdist3
		ends_with format_bytes formatReadableDecimalSize formatReadableSize hamming instr jaccard jaro_similarity
		jaro_winkler_similarity lcase left left_grapheme len length length_grapheme levenshtein lower ltrim mismatches
		nfc_normalize octet_length ord parse_dirname parse_dirpath parse_filename parse_formatted_bytes parse_path
		pg_size_pretty position prefix regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
		regexp_split_to_array regexp_split_to_table reverse right right_grapheme rtrim split split_part starts_with str_split
		str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos substr substring
		substring_grapheme suffix translate trim ucase unicode upper`},
	{title: "Bytes, codes and hashes", names: `base64 bin decode encode from_base64 from_binary from_hex hash hex md5 md5_number md5_number_lower
		md5_number_upper sha1 sha256 to_base64 to_binary to_hex unbin unhex url_decode url_encode`},
	{title: "Dates and times", names: `age century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day
		dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era hour isodow isoyear
		julian last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond
		millennium millisecond minute month monthname nanosecond normalized_interval quarter second strftime strptime
		time_bucket timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds
		to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years try_strptime
		week weekday weekofyear year yearweek`},
	{title: "The time of the cut", class: pinned, names: `current_date current_localtime current_localtimestamp get_current_time
		get_current_timestamp now today transaction_timestamp`},
	{title: "Lists", names: `apply array_append array_apply array_cat array_concat array_contains array_cosine_distance
		array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product array_extract array_filter
		array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product array_intersect array_length
		array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position array_prepend
		array_push_back array_push_front array_reduce array_reverse array_reverse_sort array_select array_slice array_sort
		array_to_string array_to_string_comma_default array_transform array_unique array_value array_where array_zip
		element_at filter flatten generate_subscripts grade_up list_any_value list_append list_apply list_approx_count_distinct
		list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains
		list_cosine_distance list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element
		list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram
		list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median
		list_min list_mode list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend
		list_product list_reduce list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort
		list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
		list_var_samp list_where list_zip reduce unnest`},
	{title: "Structs, maps and unions", names: `cardinality map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract
		map_extract_value map_from_entries map_keys map_values row struct_concat struct_contains struct_extract
		struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack struct_position struct_update
		struct_values union_extract union_tag union_value`},
	{title: "JSON", names: `array_to_json from_json from_json_strict json json_array json_array_length json_contains json_exists
		json_extract json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object
		json_group_structure json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform
		json_transform_strict json_type json_valid json_value row_to_json to_json`},
	{title: "Conditions and types", names: `constant_or_null error nullif pg_typeof switch typeof uuid_extract_timestamp uuid_extract_version`},
	{title: "Aggregates", names: aggregateNames},
	{title: "Window functions", names: `cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense
		row_number`},
	{title: "Chance", class: chance, names: `gen_random_uuid random reservoir_quantile uuid uuidv4 uuidv7`},

	{title: "Repetition", class: capped, why: "a constant count; the value may get 1,024 times as long", names: "repeat"},
	{title: "Padding", class: capped, why: "a constant length of at most a million", names: "lpad rpad"},
	{title: "Series as a list", class: capped, why: "constant bounds, at most 10,000 values; in a FROM at most 10 million", names: "range generate_series"},
	{title: "Resizing", class: capped, why: "a constant length of at most 10,000", names: "array_resize list_resize"},
	{title: "Replacing", class: capped, why: "a constant replacement; the value may get 1,024 times as long", names: "replace regexp_replace"},
	{title: "Formatting", class: capped, why: "a constant format with widths of at most 1,000", names: "format printf"},
	{title: "Bars", class: capped, why: "a constant width of at most 1,000", names: "bar"},
	{title: "Bins", class: capped, why: "a constant number of at most 1,000", names: "equi_width_bins approx_top_k"},
	{title: "Number bases", class: capped, why: "a constant length of at most 64", names: "to_base"},
	{title: "Aggregates by name", class: capped, why: "the name is a constant and an aggregate of this list", names: `aggregate array_aggr array_aggregate
		list_aggr list_aggregate`},

	{title: "Settings and the session", class: barred, why: "the engine's settings are no data", names: `current_catalog current_connection_id current_database
		current_query current_query_id current_role current_schema current_schemas current_setting current_transaction_id
		current_user get_block_size getvariable in_search_path session_user txid_current user version`},
	{title: "The node's keys", class: barred, why: "the node asks them to leave out what was changed, and what no key of another table fits", names: "weft_has weft_may_have weft_unchanged"},
	{title: "The server", class: barred, why: "the machine is no data", names: `inet_client_addr inet_client_port inet_server_addr inet_server_port
		pg_conf_load_time pg_postmaster_start_time parse_duckdb_log_message write_log`},
	{title: "The engine's catalogue", class: barred, why: "products are described by weft show and weft search", names: `col_description
		format_pg_type format_type has_any_column_privilege has_column_privilege has_database_privilege
		has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege has_schema_privilege
		has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege map_to_pg_oid obj_description
		pg_collation_is_visible pg_conversion_is_visible pg_function_is_visible pg_get_constraintdef pg_get_expr
		pg_get_viewdef pg_has_role pg_is_other_temp_schema pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible
		pg_opfamily_is_visible pg_table_is_visible pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
		pg_ts_template_is_visible pg_type_is_visible shobj_description`},
	{title: "Statements as values", class: barred, why: "a query in a value would pass unread", names: `json_deserialize_sql json_serialize_plan
		json_serialize_sql`},
	{title: "Insides of the engine", class: barred, why: "they show or change how values are stored", names: `__internal_* alias can_cast_implicitly cast_to_type combine
		create_sort_key enum_code finalize get_type is_histogram_other_bin make_type remap_struct replace_type stats
		timetz_byte_comparable unpivot_list variant_bytes_to_variant variant_normalize variant_to_parquet_variant vector_type`},
	{title: "Sequences", class: barred, why: "they change state; use row_number() OVER (…)", names: "currval nextval"},
	{title: "Waiting and seeds", class: barred, why: "they act on the session", names: "pg_sleep setseed sleep_ms"},
	{title: "Hidden clocks", class: barred, why: "it reads the machine's clock; write now() - INTERVAL 1 DAY", names: "ago"},
	{title: "Collations as functions", class: barred, why: "write x COLLATE name", names: "icu_collate_* icu_sort_key"},
	{title: "Types that tables do not have", class: barred, why: "no table has the type, see docs/types.md", names: `bit_position bitstring bitstring_agg
		enum_first enum_last enum_range enum_range_boundary get_bit set_bit st_asbinary st_astext st_aswkb st_aswkt st_crs
		st_geomfromwkb st_intersects_extent st_setcrs variant_extract variant_typeof`},
}

// aggregateNames may also be the name that list_aggregate is given.
const aggregateNames = `any_value approx_count_distinct approx_quantile arbitrary arg_max arg_max_null arg_max_nulls_last arg_min arg_min_null
	arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif
	covar_pop covar_samp entropy favg first fsum geomean geometric_mean group_concat histogram histogram_exact kahan_sum
	kurtosis kurtosis_pop last list listagg mad max max_by mean median min min_by mode product quantile quantile_cont
	quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness
	stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop var_samp variance wavg weighted_avg`

var aggregateFunctions = words(aggregateNames)

// tableFunctionGroups classifies what may stand in a FROM as a function.
var tableFunctionGroups = []group{
	{title: "Unnesting", names: "unnest"},
	{title: "Series", class: capped, why: "constant bounds, at most 10 million values", names: "range generate_series"},
	{title: "Files", class: barred, why: "files are read by products: weft product new NAME --from FILE", names: `glob parquet_bloom_probe
		parquet_file_metadata parquet_full_metadata parquet_kv_metadata parquet_metadata parquet_scan parquet_schema read_blob
		read_csv read_csv_auto read_duckdb read_json read_json_auto read_json_objects read_json_objects_auto read_ndjson
		read_ndjson_auto read_ndjson_objects read_parquet read_text sniff_csv`},
	{title: "Queries as values", class: barred, why: "a query in a value would pass unread", names: `json_execute_serialized_sql query
		query_table`},
	{title: "The engine's catalogue and insides", class: barred, why: "products are described by weft show and weft search", names: `check_peg_parser
		duckdb_approx_database_count duckdb_columns duckdb_connection_count duckdb_constraints duckdb_coordinate_systems
		duckdb_databases duckdb_dependencies duckdb_extensions duckdb_external_file_cache duckdb_functions duckdb_indexes
		duckdb_keywords duckdb_log_contexts duckdb_logs duckdb_logs_parsed duckdb_memory duckdb_optimizers
		duckdb_prepared_statements duckdb_profiling_settings duckdb_schemas duckdb_secret_types duckdb_secrets duckdb_sequences
		duckdb_settings duckdb_table_sample duckdb_tables duckdb_temporary_files duckdb_types duckdb_variables duckdb_views
		icu_calendar_names pg_timezone_names pragma_collations pragma_database_size pragma_metadata_info pragma_platform
		pragma_show pragma_storage_info pragma_table_info pragma_user_agent pragma_version seq_scan sql_auto_complete summary
		test_all_types test_vector_types which_secret`},
	{title: "Commands", class: barred, why: "a query reads, it does not act", names: `checkpoint disable_logging disable_peg_parser disable_profiling
		enable_logging enable_peg_parser enable_profiling force_checkpoint truncate_duckdb_logs`},
	{title: "Memory of the process", class: barred, why: "it takes an address", names: "arrow_scan arrow_scan_dumb arrow_source"},
	{title: "Shapes of tables", class: barred, why: "write it as a SELECT: GROUP BY, or unnest(…)", names: `histogram histogram_values json_each json_tree
		repeat repeat_row`},
}
