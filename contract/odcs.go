package contract

// odcsText is the Open Data Contract Standard, 3.0 to 3.2, without its servers;
// parseStandard tells how to read it. 3.0.0 to 3.0.2 differ only in fields that
// the later ones describe more exactly; they are read as one. Where a later
// version relaxed a closed list (file formats), the relaxed form is read.
const odcsText = `
contract
  version! string
  kind! string enum=DataContract
  apiVersion! string
  id! string
  name string
  tenant string
  tags []string
  status!<3.2 string
  servers []server
  dataProduct string
  description description
  domain string
  context string|context since=3.2
  schema []table
  support []support
  price price
  team []member until=3.1
  team team|[]member since=3.1
  roles []role
  slaDefaultElement string deprecated=3.1 -- name the element on each entry of slaProperties
  slaProperties []sla
  authoritativeDefinitions []definition
  customProperties []custom
  contractCreatedTs datetime
description
  usage string
  purpose string
  limitations string
  authoritativeDefinitions []definition
  customProperties []custom
context
  instructions string
  verifiedStatements []statement
  constraints []constraint
statement
  id string
  question! string
  answer string
  authoritativeDefinitions []definition
  tags []string
  customProperties []custom
constraint
  id string
  constraint! string
  authoritativeDefinitions []definition
  tags []string
  customProperties []custom
table
  id string since=3.1
  name! string
  physicalType string
  physicalName string
  description string
  businessName string
  deprecated boolean since=3.2
  synonyms []synonym since=3.2
  authoritativeDefinitions []definition
  tags []string
  customProperties []custom
  context string|context since=3.2
  logicalType string enum=object until=3.2
  logicalType string enum=object,blob since=3.2
  dataGranularityDescription string
  properties []column
  relationships []tableRelationship since=3.1
  quality []quality
element switch=logicalType
  id string since=3.1
  physicalType string
  physicalName string
  description string
  businessName string
  deprecated boolean since=3.2
  synonyms []synonym since=3.2
  authoritativeDefinitions []definition
  tags []string
  customProperties []custom
  primaryKey boolean
  primaryKeyPosition integer
  logicalType string enum=string,date,number,integer,object,array,boolean until=3.1
  logicalType string enum=string,date,timestamp,time,number,integer,object,array,boolean since=3.1 until=3.2
  logicalType string enum=string,date,timestamp,time,number,integer,object,array,boolean,map,vector since=3.2
  logicalTypeOptions options
  semanticType string enum=column,measure,dimension since=3.2
  required boolean
  unique boolean
  partitioned boolean
  partitionKeyPosition integer
  classification string
  encryptedName string
  transformSourceObjects []string
  transformLogic string
  transformDescription string
  examples []any
  criticalDataElement boolean
  enum []enumValue since=3.2
  relationships []columnRelationship since=3.1
  quality []quality
element:object
  properties []column
element:array
  items element
element:map
  map! map
map
  key! element
  value! element
column
  name! string
options switch=^logicalType
options:string
  minLength integer
  maxLength integer
  pattern string
  format string
options:date
  format string
  maximum string
  minimum string
  exclusiveMaximum boolean until=3.1
  exclusiveMaximum string since=3.1
  exclusiveMinimum boolean until=3.1
  exclusiveMinimum string since=3.1
options:timestamp
  format string
  maximum string
  minimum string
  exclusiveMaximum string
  exclusiveMinimum string
  timezone boolean
  defaultTimezone string
options:time
  format string
  maximum string
  minimum string
  exclusiveMaximum string
  exclusiveMinimum string
  timezone boolean
  defaultTimezone string
options:integer
  multipleOf number
  maximum number
  minimum number
  exclusiveMaximum boolean until=3.1
  exclusiveMaximum number since=3.1
  exclusiveMinimum boolean until=3.1
  exclusiveMinimum number since=3.1
  format string enum=i8,i16,i32,i64,i128,u8,u16,u32,u64,u128
options:number
  multipleOf number
  maximum number
  minimum number
  exclusiveMaximum boolean until=3.1
  exclusiveMaximum number since=3.1
  exclusiveMinimum boolean until=3.1
  exclusiveMinimum number since=3.1
  format string enum=f32,f64
options:object
  maxProperties integer
  minProperties integer
  required []string
options:array
  maxItems integer
  minItems integer
  uniqueItems boolean
options:vector
  dimensions! integer
  elementType string enum=bfloat16,binary,float16,float32,float64,int8,uint8
  distanceMetric string enum=cosine,dotProduct,euclidean,hamming,manhattan
  embeddingModel string
  embeddingModelVersion string
  normalized boolean
enumValue
  value! scalar
  label string
  id string
  description string
  customProperties []custom
  authoritativeDefinitions []definition
  tags []string
quality switch=type
  id string since=3.1
  authoritativeDefinitions []definition
  businessImpact string
  customProperties []custom
  description string
  dimension string enum=accuracy,completeness,conformity,consistency,coverage,timeliness,uniqueness,ac,cp,cf,cs,cv,tm,uq
  method string
  name string
  schedule string
  scheduler string
  severity string
  tags []string
  type string enum=text,library,sql,custom
  unit string
quality:text
quality:library
  metric string enum=nullValues,missingValues,invalidValues,duplicateValues,rowCount
  rule string deprecated=3.1 -- write metric
  arguments any
  validValues []any until=3.1
  mustBe any
  mustNotBe any
  mustBeGreaterThan number
  mustBeGreaterOrEqualTo number
  mustBeLessThan number
  mustBeLessOrEqualTo number
  mustBeBetween []number
  mustNotBeBetween []number
quality:sql
  query! string
  mustBe any
  mustNotBe any
  mustBeGreaterThan number
  mustBeGreaterOrEqualTo number
  mustBeLessThan number
  mustBeLessOrEqualTo number
  mustBeBetween []number
  mustNotBeBetween []number
quality:custom
  engine! string
  implementation! any
columnRelationship
  type string enum=foreignKey
  to! string|[]string
  customProperties []custom
  description string
tableRelationship
  type string enum=foreignKey
  from! string|[]string
  to! string|[]string
  customProperties []custom
  description string
definition
  id string since=3.1
  url! uri
  type! string
  description string since=3.1
support
  id string since=3.1
  channel! string
  url!<3.1 string
  description string
  tool string
  scope string
  invitationUrl string
  customProperties []custom since=3.1
price
  id string since=3.1
  priceAmount number
  priceCurrency string
  priceUnit string
member
  id string since=3.1
  username! string
  name string
  description string
  role string
  dateIn date
  dateOut date
  replacedByUsername string
  tags []string since=3.1
  customProperties []custom since=3.1
  authoritativeDefinitions []definition since=3.1
team
  id string
  name string
  description string
  members []member
  tags []string
  customProperties []custom
  authoritativeDefinitions []definition
role
  id string since=3.1
  role! string
  description string
  access string
  firstLevelApprovers string
  secondLevelApprovers string
  customProperties []custom
sla
  id string since=3.1
  property! string
  value! scalar
  valueExt scalar
  unit string
  element string
  driver string
  description string since=3.1
  scheduler string since=3.1
  schedule string since=3.1
  customProperties []custom since=3.2
  authoritativeDefinitions []definition since=3.2
custom
  id string since=3.1
  property! string
  value! any
  description string since=3.1
  vendor string since=3.2
synonym
  id string
  synonym! string
  description string
  locale string
  source string
  status string
  customProperties []custom
server switch=type
  id string since=3.1
  server! string
  type! string
  description string
  environment string
  roles []role
  customProperties []custom
server:api
  location! string
server:athena
  schema! string
  stagingDir!<3.2 string
  catalog string
  regionName string
  workgroup string since=3.2
server:azure
  location! string
  format! string
  delimiter string
  encoding string since=3.2
server:bigquery
  project! string
  dataset! string
server:btrieve
  host! string
  port variable
  database! string
server:clickhouse
  host! string
  port! variable
  database! string
server:cloudsql
  host! string
  port! variable
  database! string
  schema! string
server:custom
  account string
  catalog string
  database string
  dataset string
  delimiter string
  endpointUrl string
  format string
  host string
  location string
  path string
  port variable
  project string
  region string
  regionName string
  schema string
  serviceName string
  stagingDir string
  warehouse string
  stream string since=3.1
  encoding string since=3.2
server:databricks
  host string
  catalog! string
  schema! string
server:db2
  host! string
  port! variable
  database! string
  schema string
server:denodo
  host! string
  port! variable
  database string
server:dremio
  host! string
  port! variable
  schema string
server:duckdb
  database! string
  schema string
server:exasol
  host! string
  port variable
  schema string
server:fastobjects
  database! string
  host string
  port variable
server:glue
  account! string
  database! string
  location string
  format string
  encoding string since=3.2
server:hana
  host! string
  port variable
  database string
  schema string
server:hive
  host! string
  port variable
  database! string
server:iceberg
  catalog! string
  catalogUrl! string
  namespace string
  warehouse string
server:impala
  host! string
  port variable
  database! string
server:informix
  host! string
  port variable
  database! string
server:ingres
  database! string
  host! string
  port variable
server:kafka
  host! string
  format string
  encoding string since=3.2
server:kinesis
  region string
  format string
  encoding string since=3.2
server:local
  path! string
  format! string
  encoding string since=3.2
server:mysql
  host! string
  port! variable
  database! string
server:oracle
  host! string
  port! variable
  serviceName! string
server:poet
  database! string
  host string
  port variable
server:postgres
  host! string
  port! variable
  database! string
  schema! string
server:postgresql
  host! string
  port! variable
  database! string
  schema! string
server:presto
  host! string
  catalog string
  schema string
server:pubsub
  project! string
server:redshift
  database! string
  schema! string
  host string
  region string
  account string
server:s3
  location! string
  endpointUrl string
  format string
  delimiter string
  encoding string since=3.2
server:sftp
  location! string
  format string
  delimiter string
  encoding string since=3.2
server:snowflake
  account! string
  database! string
  schema! string
  host string
  port variable
  warehouse string
server:sqlserver
  host! string
  port variable
  database! string
  schema! string
server:synapse
  host! string
  port! variable
  database! string
server:teradata
  host! string
  port variable
  database string
server:trino
  host! string
  port! variable
  catalog! string
  schema! string
server:vectorwise
  database! string
  host! string
  port variable
server:versant
  database! string
  host string
  port variable
server:vertica
  host! string
  port! variable
  database! string
  schema! string
server:zen
  host! string
  port variable
  database! string
`
